package natspubsub

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/pubsub"
)

func TestQueueOptions(t *testing.T) {
	js, err := jetstream.New(new(nats.Conn))
	require.NoError(t, err)
	for want, q := range map[string]*Queue{
		"nil client":       NewQueue(nil, nil),
		`Prefix "a_b"`:     NewQueue(js, &QueueOptions{Prefix: "a_b"}),
		`Prefix "ä"`:       NewQueue(js, &QueueOptions{Prefix: "ä"}),
		`Prefix "xxxxxxxx`: NewQueue(js, &QueueOptions{Prefix: strings.Repeat("x", 33)}),
		"Replicas 2":       NewQueue(js, &QueueOptions{Replicas: 2}),
		"Storage 7":        NewQueue(js, &QueueOptions{Storage: 7}),
		"DedupeWindow -1":  NewQueue(js, &QueueOptions{DedupeWindow: -1}),
		"DedupeWindow 25h": NewQueue(js, &QueueOptions{DedupeWindow: 25 * time.Hour, MaxAge: -1}),
		"MaxAge 1m0s":      NewQueue(js, &QueueOptions{MaxAge: time.Minute}),
		"MaxBytes -1":      NewQueue(js, &QueueOptions{MaxBytes: -1}),
		"MaxMsgs -1":       NewQueue(js, &QueueOptions{MaxMsgs: -1}),
		"Partitions 257":   NewQueue(js, &QueueOptions{Partitions: 257}),
	} {
		for _, call := range []func() error{
			func() error { _, err := q.Info(t.Context()); return err },
			func() error { return q.Publish(t.Context(), "t", []pubsub.Message{{ID: "x"}}, 0) },
			func() error {
				_, err := q.Join(t.Context(), "t", "g", pubsub.JoinOptions{Prefetch: 1, Lease: time.Second})
				return err
			},
			func() error { _, err := q.Stats(t.Context(), "t", "g"); return err },
			func() error { _, err := q.Dead(t.Context(), "t", "g", "", 1); return err },
			func() error { _, err := q.Redrive(t.Context(), pubsub.DeadLetter{Ref: "1"}); return err },
		} {
			err := call()
			require.ErrorIs(t, err, pubsub.ErrInvalid, want)
			require.ErrorContains(t, err, want)
		}
	}
	_, err = StreamConfig("a..b", nil)
	require.ErrorIs(t, err, pubsub.ErrInvalid)
	_, err = DeadStreamConfig("t", &QueueOptions{Replicas: 2})
	require.ErrorIs(t, err, pubsub.ErrInvalid)
}

func TestQueueNames(t *testing.T) {
	seen := map[string]string{}
	long := strings.Repeat("ä", 127)
	for _, topic := range []string{
		"a.b", "a_b", "a-b", "a=b", "a=5Fb", "ä", "a.b=dead", "A.b", long, long + "x", long[2:] + "ö", strings.Repeat("x", 255), strings.Repeat("x", 254),
	} {
		c, err := StreamConfig(topic, &QueueOptions{Prefix: strings.Repeat("p", maxQueuePrefix)})
		require.NoError(t, err)
		d, err := DeadStreamConfig(topic, &QueueOptions{Prefix: strings.Repeat("p", maxQueuePrefix)})
		require.NoError(t, err)
		for _, name := range []string{c.Name, d.Name} {
			require.LessOrEqual(t, len(name), 255)
			require.False(t, strings.ContainsAny(name, ".*> /\\\t"), name)
			require.Empty(t, seen[name], "%q has the name of %q", topic, seen[name])
			seen[name] = topic
		}
	}
	o, err := (*QueueOptions)(nil).filled()
	require.NoError(t, err)
	require.Equal(t, "queue_orders_new", o.stream("orders.new"))
	require.Equal(t, "queue.orders_new.m.0.g", o.subject("orders.new", 0, "g"))
	require.Equal(t, "g", o.consumer("g", 0))
}

func TestStreamsThatCannotServe(t *testing.T) {
	o, err := (&QueueOptions{Replicas: 3, Partitions: 4}).filled()
	require.NoError(t, err)
	topic := &queueTopic{q: &Queue{o: o}, name: "t"}
	require.NoError(t, topic.check(o.streamConfig("t"), o.streamConfig("t")))
	for want, mod := range map[string]func(*jetstream.StreamConfig){
		"subjects [x]":                   func(c *jetstream.StreamConfig) { c.Subjects = []string{"x"} },
		"retention Interest":             func(c *jetstream.StreamConfig) { c.Retention = jetstream.InterestPolicy },
		"discard policy DiscardNew":      func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardNew },
		"max_msgs_per_subject 1":         func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 1 },
		"storage Memory":                 func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage },
		"replicas 1":                     func(c *jetstream.StreamConfig) { c.Replicas = 1 },
		"duplicate_window 1s":            func(c *jetstream.StreamConfig) { c.Duplicates = time.Second },
		"mirror true":                    func(c *jetstream.StreamConfig) { c.Mirror = new(jetstream.StreamSource) },
		"sources 1":                      func(c *jetstream.StreamConfig) { c.Sources = make([]*jetstream.StreamSource, 1) },
		"subject transform":              func(c *jetstream.StreamConfig) { c.SubjectTransform = new(jetstream.SubjectTransformConfig) },
		"sealed true":                    func(c *jetstream.StreamConfig) { c.Sealed = true },
		"no_ack true":                    func(c *jetstream.StreamConfig) { c.NoAck = true },
		"allow_msg_counter true":         func(c *jetstream.StreamConfig) { c.AllowMsgCounter = true },
		"persist_mode":                   func(c *jetstream.StreamConfig) { c.PersistMode = jetstream.AsyncPersistMode },
		"max_msg_size 100":               func(c *jetstream.StreamConfig) { c.MaxMsgSize = 100 },
		`metadata concord.partitions ""`: func(c *jetstream.StreamConfig) { c.Metadata = nil },
	} {
		c := o.streamConfig("t")
		mod(&c)
		err := topic.check(c, o.streamConfig("t"))
		require.ErrorIs(t, err, pubsub.ErrInvalid, want)
		require.ErrorContains(t, err, `stream "queue_t" has `+want)
	}
	c := o.deadConfig("t")
	c.DenyDelete, c.MaxAge = true, time.Hour
	err = topic.check(c, o.deadConfig("t"))
	require.ErrorContains(t, err, `stream "queue_t=dead" has deny_delete true`)
	require.ErrorContains(t, err, "has max_age 1h0m0s")
}

func TestHeadersComeBack(t *testing.T) {
	for _, s := range []string{"", " ", "  a  ", "a", "%20", "%", "100 %", " %25", "ä b"} {
		e := escapeHeader(s)
		require.Equal(t, strings.Trim(e, " "), e)
		require.Equal(t, s, unescapeHeader(e))
	}
	seen := map[string]bool{}
	for _, s := range []string{"a", " a", "a ", "%20a", "%2520a"} {
		require.False(t, seen[escapeHeader(s)], "IDs that differ must not be one")
		seen[escapeHeader(s)] = true
	}
}

func FuzzErrorText(f *testing.F) {
	f.Add("line 1\nline 2 \xff")
	f.Add(strings.Repeat("%\n", 2000) + " ")
	f.Fuzz(func(t *testing.T, s string) {
		e := errorText(s)
		require.LessOrEqual(t, len(e), maxErrorText)
		require.False(t, strings.ContainsFunc(e, func(r rune) bool { return r < ' ' || r == 0x7f }))
		unescapeHeader(e)
	})
}

func TestParseAck(t *testing.T) {
	want := ackInfo{2, 3, 4, 5, true}
	require.Equal(t, want, parseAck("$JS.ACK.s.c.2.3.4.5.6"))
	require.Equal(t, want, parseAck("$JS.ACK._.hash.s.c.2.3.4.5.6"))
	require.Equal(t, want, parseAck("$JS.ACK.hub.hash.s.c.2.3.4.5.6.rnd"))
	for _, s := range []string{"", "x", "_INBOX.a.b", "$JS.ACK.s.c.2.3.4.x.6", "$JS.ACK.s.c.2.3.4.5", "$JS.ACK.a.b.c.d.e.f.g.h"} {
		require.False(t, parseAck(s).fromServer, s)
	}
}

func TestQueueErrors(t *testing.T) {
	for err, final := range map[error]bool{
		pubsub.ErrInvalid: true, nats.ErrConnectionClosed: true, &jetstream.APIError{Code: 400}: true,
		&jetstream.APIError{Code: 503}: false, &jetstream.APIError{Code: 404}: false, nats.ErrNoResponders: false,
		context.DeadlineExceeded: false, nats.ErrDisconnected: false, errQueueBusy: false, errors.New("x"): false,
	} {
		require.Equal(t, final, queueFinal(fmt.Errorf("x: %w", err)), "%v", err)
	}
	ok := &nats.Msg{Data: []byte(`{"stream":"s","seq":7,"duplicate":true}`)}
	known, err := ackOf(queueAnswer{Msg: ok})
	require.NoError(t, err)
	require.True(t, known)
	busy := &nats.Msg{Data: []byte(`{"error":{"code":409,"err_code":10158}}`)}
	_, err = ackOf(queueAnswer{Msg: busy})
	require.ErrorIs(t, err, errQueueBusy, "the first copy may fail still")
	_, err = ackOf(queueAnswer{Msg: &nats.Msg{Header: nats.Header{"Status": {"503"}}}})
	require.ErrorIs(t, err, errQueueBusy)
	for _, data := range []string{`{}`, `x`} {
		_, err = ackOf(queueAnswer{Msg: &nats.Msg{Data: []byte(data)}})
		require.Error(t, err)
	}
}

// Of several open requests none is taken for younger than it may be.
func TestRequestsAreTold(t *testing.T) {
	in := &queueInbox{s: &queueSource{}, open: 10, requests: []*queueRequest{{token: "1", n: 10}}}
	for range 6 {
		in.count()
	}
	require.Equal(t, 4, in.open)
	in.requests[0].doneAfter = 2 * in.open
	in.requests = append(in.requests, &queueRequest{token: "2", n: 20})
	in.open += 20
	for range 7 {
		in.count()
	}
	require.Equal(t, "1", in.requests[0].token)
	in.count()
	require.Equal(t, "2", in.requests[0].token, "served in turn, the first is done")
	require.Equal(t, 16, in.open)
	in.drop(in.requests[0], 16)
	require.Zero(t, in.open)
}
