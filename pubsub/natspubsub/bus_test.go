package natspubsub

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/pubsub"
	"github.com/concordkit/concord/pubsub/internal/feed"
)

func TestBadInput(t *testing.T) {
	quiet := new(nats.Conn)
	quiet.Opts.NoEcho = true
	for want, b := range map[string]*Bus{
		"nil connection":          NewBus(nil, nil),
		"NoEcho":                  NewBus(quiet, nil),
		`Prefix "a"`:              NewBus(new(nats.Conn), &BusOptions{Prefix: "a"}),
		`prefix "a..": `:          NewBus(new(nats.Conn), &BusOptions{Prefix: "a.."}),
		`prefix "a.*.": `:         NewBus(new(nats.Conn), &BusOptions{Prefix: "a.*."}),
		`prefix "$JS.": `:         NewBus(new(nats.Conn), &BusOptions{Prefix: "$JS."}),
		`want at most 255 bytes `: NewBus(new(nats.Conn), &BusOptions{Prefix: strings.Repeat("x", 255) + "."}),
	} {
		for _, err := range []error{
			b.Publish(t.Context(), "t", []pubsub.Message{{}}), b.Flush(t.Context()), b.Subscribe(t.Context(), "t", nil),
		} {
			require.ErrorIs(t, err, pubsub.ErrInvalid)
			require.ErrorContains(t, err, want)
		}
	}
	require.NoError(t, NewBus(new(nats.Conn), &BusOptions{Prefix: "a.b."}).err)
}

func TestHeader(t *testing.T) {
	for _, m := range []pubsub.Message{
		{ID: "i"},
		{Key: " k "},
		{ID: " ", Key: "ä", Header: pubsub.Header{"a": "", "b": " x", "c/d": "e=f&g", `(")`: " ", "Status": "503"}},
	} {
		msg, size := encode("s", &m)
		raw := len(headerLine)
		for name, values := range msg.Header {
			require.True(t, asIs(name, ""), "NATS refuses %q", name)
			for _, v := range values {
				require.Equal(t, strings.TrimSpace(v), v, "NATS trims")
				raw += len(name + ": " + v + "\r\n")
			}
		}
		require.Equal(t, raw+len("\r\n"), size)
		var got pubsub.Message
		decode(msg.Header, &got)
		require.Equal(t, m, got)
	}
}

const headerLine = "NATS/1.0\r\n"

func TestForeignHeader(t *testing.T) {
	var m pubsub.Message
	decode(nats.Header{
		"Nats-Msg-Id": {"i"}, "Nats-Expected-Stream": {"s"}, "concord-x": {"y"}, "a": {"1", "2"}, "none": nil,
		escapedHeader: {"b=%zz", "%zz=c", "d", "Concord-Key=k", "Nats-Rollup=all"},
	}, &m)
	require.Equal(t, pubsub.Message{ID: "i", Key: "k", Header: pubsub.Header{"a": "1", "d": ""}}, m)
}

func FuzzDecode(f *testing.F) {
	f.Add("a", "b=c")
	f.Fuzz(func(t *testing.T, name, value string) {
		var m pubsub.Message
		decode(nats.Header{name: {value}, escapedHeader: {value}}, &m)
		for k := range m.Header {
			require.False(t, reserved(k, "nats-") || reserved(k, "concord-"))
		}
	})
}

// Where a connection began among messages that wait is not known, so each place has a gap, or what waits is dropped.
func TestDoubt(t *testing.T) {
	for waiting, want := range map[int]tape{
		0:          {"gap", "t:0", "t:1", "t:2"},
		1:          {"gap", "t:0", "gap", "t:1", "t:2"},
		2:          {"gap", "t:0", "gap", "t:1", "gap", "t:2"},
		doubts + 1: {"gap", "t:17", "t:18"},
	} {
		in := &intake{Feed: feed.New(), bus: new(Bus), connected: make(chan nats.Status)}
		in.doubt(waiting, gapError{})
		for i := range waiting + 3 {
			if i > 2 && waiting <= doubts || i > doubts+2 {
				break
			}
			in.take(&nats.Msg{Subject: "t", Data: []byte(strconv.Itoa(i))})
		}
		var got tape
		require.NoError(t, in.Deliver(t.Context(), &got))
		require.Equal(t, want, got, "%d waiting", waiting)
	}
}

type gapError struct{}

func (gapError) Error() string { return "gap" }

// An engine's own subjects are no topics.
func TestLoose(t *testing.T) {
	in := &intake{Feed: feed.New(), bus: new(Bus), loose: true, connected: make(chan nats.Status)}
	for _, subject := range []string{"_INBOX.x", "a", "$JS.API.INFO"} {
		in.take(&nats.Msg{Subject: subject})
	}
	var got tape
	require.NoError(t, in.Deliver(t.Context(), &got))
	require.Equal(t, tape{"a:"}, got)
}

// tape is a Sink that writes down what it gets.
type tape []string

func (*tape) Active() {}

func (p *tape) Gap(cause error) { *p = append(*p, cause.Error()) }

func (p *tape) Deliver(_ context.Context, topic string, ms []pubsub.Message) error {
	for _, m := range ms {
		*p = append(*p, topic+":"+string(m.Data))
	}
	return nil
}
