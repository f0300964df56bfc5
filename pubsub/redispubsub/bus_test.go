package redispubsub

import (
	"context"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/pubsub"
)

func TestBadInput(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: "localhost:1"})
	defer rdb.Close()
	ring := redis.NewRing(&redis.RingOptions{})
	defer ring.Close()
	var none *redis.Client
	for want, b := range map[string]*Bus{
		"nil client":    NewBus(nil, nil),
		"invalid: nil":  NewBus(none, nil),
		"redis.Ring":    NewBus(ring, nil),
		`Prefix "a*"`:   NewBus(rdb, &BusOptions{Prefix: "a*"}),
		"at most 255":   NewBus(rdb, &BusOptions{Prefix: strings.Repeat("x", 256)}),
		"Silence 1ms":   NewBus(rdb, &BusOptions{Silence: time.Millisecond}),
		"Silence -1h0m": NewBus(rdb, &BusOptions{Silence: -time.Hour}),
	} {
		for _, err := range []error{
			b.Publish(t.Context(), "t", []pubsub.Message{{}}), b.Flush(t.Context()), b.Subscribe(t.Context(), "t", nil),
		} {
			require.ErrorIs(t, err, pubsub.ErrInvalid)
			require.ErrorContains(t, err, want)
		}
	}
}

// Until a subscription is active an error ends it.
func TestUnreachable(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialerRetries: 1})
	defer rdb.Close()
	bus := pubsub.NewBus(NewBus(rdb, nil), nil)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err := bus.Subscribe(ctx, "t", nil)
	require.Error(t, err)
	require.NoError(t, ctx.Err())
	require.Error(t, bus.Publish(ctx, "t", pubsub.Message{}))
}

func TestEnvelope(t *testing.T) {
	for _, m := range []pubsub.Message{
		{},
		{Data: []byte("plain")},
		{Data: []byte(mark)},
		{Data: []byte(mark + "\x01a\x00\x00data")}, // what looks like an envelope is none
		{Data: encode(&pubsub.Message{ID: "a", Data: []byte("x")})},
		{ID: "i"},
		{Key: "k", Data: []byte{0}},
		{ID: strings.Repeat("i", 255), Key: strings.Repeat("k", 255), Header: pubsub.Header{"a": "", "b": " ü "}, Data: []byte("d")},
	} {
		b := encode(&m)
		require.LessOrEqual(t, len(b), size(&m))
		got := decode(string(b))
		require.Equal(t, string(m.Data), string(got.Data))
		got.Data, m.Data = nil, nil
		require.Equal(t, m, got)
	}
	require.Equal(t, "plain", string(encode(&pubsub.Message{Data: []byte("plain")})), "others can read what needs no envelope")
	require.Equal(t, mark+"\x01i\x01k\x01\x01a\x01bd", string(encode(&pubsub.Message{
		ID: "i", Key: "k", Header: pubsub.Header{"a": "b"}, Data: []byte("d"),
	})), "what is on the wire stays")
	for _, torn := range []string{"", "\x05a", "\x01a\x01b", "\x01a\x01b\x09", "\x01a\x01b\x01\x01n", "\x01\n\x00\x00", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"} {
		require.Equal(t, pubsub.Message{Data: []byte(mark + torn)}, decode(mark+torn), "%q", torn)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(string(encode(&pubsub.Message{ID: "i", Key: "k", Header: pubsub.Header{"a": "b"}, Data: []byte("d")})))
	f.Add(mark + "\x00\x00\xff\xff\xff\xff\x0f")
	f.Fuzz(func(t *testing.T, payload string) {
		m := decode(payload)
		require.NoError(t, pubsub.CheckMessage(&m))
		again := decode(string(encode(&m)))
		require.Equal(t, string(m.Data), string(again.Data))
		m.Data, again.Data = nil, nil
		require.Equal(t, m, again)
	})
}

func TestRoute(t *testing.T) {
	for pattern, want := range map[string]route{
		"a.b": {"p:a.b", false}, "a?": {"p:a?", false}, "*": {"p:*", true}, ">": {"p:*", true}, "a.*": {"p:a.*", true}, "a.>": {"p:a.*", true},
		"*.a?": {`p:*.a\?`, true}, `[x].*`: {`p:\[x\].*`, true}, `a\b.>`: {`p:a\\b.*`, true},
	} {
		require.Equal(t, want, routeOf("p:", pattern), pattern)
	}
	require.Equal(t, route{`a\?\[.*`, true}, routeOf("a?[.", "*"))
	// path.Match knows the same globs, but for slashes and dots.
	for _, pattern := range []string{"*.a?", "[x].*", `a\b.>`, "a.^b.*"} {
		for _, topic := range []string{"x.a?", "x.ab", "[x].y", "x.y", `a\b.c`, "ab.c", "a.^b.c"} {
			ok, err := path.Match(routeOf("", pattern).name, topic)
			require.NoError(t, err)
			require.Equal(t, pubsub.Match(pattern, topic), ok, "%s %s", pattern, topic)
		}
	}
	require.False(t, fits("*", "_concord.x"))
	require.False(t, fits("a.*.b", "a..b"))
	require.False(t, fits("a.*", "a.b.c"))
}
