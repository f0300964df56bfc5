// Package pubsubtest is the conformance suite of pubsub's backends: what package pubsub promises, case by case.
//
//	func TestBus(t *testing.T) {
//		pubsubtest.RunBus(t, func(t *testing.T) func() pubsub.BusBackend {
//			store := newStore(t)
//			return func() pubsub.BusBackend { return mypubsub.NewBus(store.connect()) }
//		}, nil)
//	}
package pubsubtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/pubsub"
)

// BusOptions configure [RunBus]. A nil *BusOptions means the defaults.
type BusOptions struct {
	// Patience is how long a message may take, and a quarter of it how long to wait for one that must not come. It defaults to
	// 5 s.
	Patience time.Duration
	// Large is the size of a payload that the engine must take. It defaults to 512 KiB.
	Large int
	// TooLarge is the size of one that it must refuse, 0 for none.
	TooLarge int
}

// RunBus runs the suite. newStore makes an engine without subscriptions; each call of connect is another process's way to it.
func RunBus(t *testing.T, newStore func(t *testing.T) (connect func() pubsub.BusBackend), o *BusOptions) {
	t.Helper()
	if o == nil {
		o = new(BusOptions)
	}
	for _, c := range []struct {
		name string
		run  func(*busSuite)
	}{
		{"a subscription is active when it says so", active},
		{"messages come as they were sent", asSent},
		{"each subscription gets each message once", fanOut},
		{"patterns", patterns},
		{"messages of a publisher come in order", inOrder},
		{"a batch comes in order", batch},
		{"what was flushed has left the process", flushed},
		{"a subscription ends with its context", ends},
		{"the end of one subscription is none of the others", endsAlone},
		{"an ended context publishes nothing", endedContext},
		{"large messages", large},
		{"topics may be in any language", languages},
		{"many subscriptions", many},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &busSuite{T: t, connect: newStore(t), patience: o.Patience, o: o}
			if s.patience == 0 {
				s.patience = 5 * time.Second
			}
			c.run(s)
		})
	}
}

type busSuite struct {
	*testing.T
	connect  func() pubsub.BusBackend
	patience time.Duration
	o        *BusOptions
}

// inbox is a Sink that keeps what comes, with room for all.
type inbox struct {
	active chan struct{}
	once   sync.Once
	end    chan error
	cancel context.CancelFunc

	mu   sync.Mutex
	got  []pubsub.Message
	gaps []error
	more chan struct{}
}

func newInbox(cancel context.CancelFunc) *inbox {
	return &inbox{active: make(chan struct{}), end: make(chan error, 1), more: make(chan struct{}), cancel: cancel}
}

// Active implements pubsub.Sink.
func (in *inbox) Active() { in.once.Do(func() { close(in.active) }) }

// Deliver implements pubsub.Sink.
func (in *inbox) Deliver(_ context.Context, topic string, ms []pubsub.Message) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, m := range ms {
		m.Topic = topic
		in.got = append(in.got, m)
	}
	close(in.more)
	in.more = make(chan struct{})
	return nil
}

// Gap implements pubsub.Sink.
func (in *inbox) Gap(cause error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.gaps = append(in.gaps, cause)
}

func (in *inbox) now() ([]pubsub.Message, <-chan struct{}) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.got, in.more
}

// subscribe returns an active subscription.
func (s *busSuite) subscribe(b pubsub.BusBackend, pattern string) *inbox {
	s.Helper()
	ctx, cancel := context.WithCancel(s.Context())
	in := newInbox(cancel)
	go func() { in.end <- b.Subscribe(ctx, pattern, in) }()
	s.Cleanup(func() {
		cancel()
		<-in.end
	})
	select {
	case <-in.active:
	case err := <-in.end:
		in.end <- err
		require.NoError(s, err, "subscribe to %q", pattern)
	case <-time.After(s.patience):
		require.Fail(s, "a subscription does not become active", "%q", pattern)
	}
	return in
}

func (s *busSuite) publish(b pubsub.BusBackend, topic string, ms ...pubsub.Message) {
	s.Helper()
	require.NoError(s, b.Publish(s.Context(), topic, slices.Clone(ms)))
}

func (s *busSuite) flush(b pubsub.BusBackend) {
	s.Helper()
	require.NoError(s, b.Flush(s.Context()))
}

func text(data string) pubsub.Message { return pubsub.Message{Data: []byte(data)} }

// gets waits until in has n messages, and returns them.
func (s *busSuite) gets(in *inbox, n int) []pubsub.Message {
	s.Helper()
	deadline := time.After(s.patience)
	for {
		got, more := in.now()
		if len(got) >= n {
			require.Len(s, got, n, "messages came twice, or to the wrong ones")
			require.Empty(s, in.gaps)
			return got
		}
		select {
		case <-more:
		case <-deadline:
			require.Fail(s, "messages are missing", "%d of %d came", len(got), n)
		}
	}
}

// getsLast waits until the last message that came is that one.
func (s *busSuite) getsLast(in *inbox, want string) {
	s.Helper()
	deadline := time.After(s.patience)
	for {
		got, more := in.now()
		if n := len(got); n > 0 && string(got[n-1].Data) == want {
			return
		}
		select {
		case <-more:
		case <-deadline:
			require.Fail(s, "a message is missing", "%q; %d came", want, len(got))
		}
	}
}

// quiet makes sure that no more than n come.
func (s *busSuite) quiet(in *inbox, n int) {
	s.Helper()
	s.gets(in, n)
	time.Sleep(s.patience / 4)
	s.gets(in, n)
}

func data(ms []pubsub.Message) (texts []string) {
	for _, m := range ms {
		texts = append(texts, string(m.Data))
	}
	return texts
}

func active(s *busSuite) {
	for i := range 20 {
		publisher, subscriber := s.connect(), s.connect()
		topic := fmt.Sprint("active.", i)
		s.publish(publisher, topic, text("too early"))
		s.flush(publisher)
		in := s.subscribe(subscriber, topic)
		s.publish(publisher, topic, text("in time"))
		s.getsLast(in, "in time") // a cluster may be late with what was too early
	}
}

func asSent(s *busSuite) {
	sent := []pubsub.Message{
		{Data: []byte("plain")},
		{},
		{ID: "id 1", Key: "Kunde/ä", Header: pubsub.Header{"traceparent": "00-1", "X-Empty": "", "Über": "no"}, Data: []byte{0, 1, 0xff, '\n', '\r'}},
		{ID: strings.Repeat("x", pubsub.MaxID), Key: strings.Repeat("k", pubsub.MaxID)},
		{Header: pubsub.Header{"a": strings.Repeat("v", 5000)}, Data: []byte("\r\n\r\nNATS/1.0\r\n")},
		{Key: "only a key"},
		{Header: pubsub.Header{"a/b": "x", "Spaces": "  around ", "{}": "[]"}},
		{Data: []byte("concord\x00\x01\x02")},
	}
	delete(sent[2].Header, "Über")
	b := s.connect()
	in := s.subscribe(s.connect(), "a.b")
	s.publish(b, "a.b", sent...)
	for i, m := range s.gets(in, len(sent)) {
		require.Equal(s, "a.b", m.Topic)
		require.Equal(s, sent[i].ID, m.ID)
		require.Equal(s, sent[i].Key, m.Key)
		require.True(s, bytes.Equal(sent[i].Data, m.Data), "%q became %q", sent[i].Data, m.Data)
		require.Len(s, m.Header, len(sent[i].Header))
		for k, v := range sent[i].Header {
			require.Equal(s, v, m.Header[k], k)
		}
	}
}

func fanOut(s *busSuite) {
	one, two := s.connect(), s.connect()
	ins := []*inbox{s.subscribe(one, "t"), s.subscribe(one, "t"), s.subscribe(one, "*"), s.subscribe(two, "t"), s.subscribe(two, ">")}
	s.publish(one, "t", text("a"))
	s.publish(one, "t", text("b"))
	for _, in := range ins {
		require.Equal(s, []string{"a", "b"}, data(s.gets(in, 2)))
	}
	s.quiet(ins[0], 2)
	for _, in := range ins {
		s.gets(in, 2)
	}
}

func patterns(s *busSuite) {
	topics := []string{"a", "b", "a.b", "a.b.c", "a.c", "ab", "b.a", "a.b.c.d", "a[b]", "a?", "a.b?c", `a\b`, "a.^c"}
	patterns := []string{"a", "*", ">", "a.*", "a.>", "*.b", "a.*.c", "*.*", "*.*.>", "a.b.c", "a[b]", "a?", `a\b`, "a.^c", "a.b?c"}
	b := s.connect()
	var ins []*inbox
	for _, p := range patterns {
		ins = append(ins, s.subscribe(b, p))
	}
	for _, topic := range topics {
		s.publish(b, topic, text(topic))
	}
	for i, p := range patterns {
		var want []string
		for _, topic := range topics {
			if pubsub.Match(p, topic) {
				want = append(want, topic)
			}
		}
		require.ElementsMatch(s, want, data(s.gets(ins[i], len(want))), p) // there is no order across topics
	}
}

func inOrder(s *busSuite) {
	const publishers, messages = 4, 2000
	in, wild := s.subscribe(s.connect(), "in.order"), s.subscribe(s.connect(), "in.*")
	var all sync.WaitGroup
	for p := range publishers {
		b := s.connect()
		all.Go(func() {
			for i := range messages {
				if err := b.Publish(s.Context(), "in.order", []pubsub.Message{{Key: fmt.Sprint(p), Data: fmt.Append(nil, i)}}); err != nil {
					s.Error(err)
					return
				}
			}
			if err := b.Flush(s.Context()); err != nil {
				s.Error(err)
			}
		})
	}
	all.Wait()
	for _, in := range []*inbox{in, wild} {
		next := map[string]int{}
		for _, m := range s.gets(in, publishers*messages) {
			require.Equal(s, fmt.Sprint(next[m.Key]), string(m.Data), "publisher %s", m.Key)
			next[m.Key]++
		}
	}
}

func batch(s *busSuite) {
	in, b := s.subscribe(s.connect(), "batch"), s.connect()
	var want []string
	var ms []pubsub.Message
	for i := range 3000 {
		want = append(want, fmt.Sprint(i))
		ms = append(ms, text(want[i]))
	}
	require.NoError(s, b.Publish(s.Context(), "batch", ms))
	clear(ms) // the slice is the caller's again
	require.Equal(s, want, data(s.gets(in, len(want))))
}

func flushed(s *busSuite) {
	in := s.subscribe(s.connect(), "flushed")
	for i := range 20 {
		b := s.connect()
		for range 100 {
			s.publish(b, "flushed", text("x"))
		}
		s.flush(b)
		if c, ok := b.(interface{ Kill() }); ok { // a backend of a test that can end its connection at once
			c.Kill()
		}
		s.gets(in, 100*(i+1))
	}
}

func ends(s *busSuite) {
	b := s.connect()
	for _, pattern := range []string{"ends", "ends.*"} {
		in := s.subscribe(b, pattern)
		in.cancel()
		select {
		case err := <-in.end:
			require.ErrorIs(s, err, context.Canceled)
			in.end <- err
		case <-time.After(s.patience):
			require.Fail(s, "a subscription does not end")
		}
		s.publish(b, strings.ReplaceAll(pattern, "*", "x"), text("late"))
		s.flush(b)
		s.quiet(in, 0)
	}
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	require.Error(s, b.Subscribe(ctx, "x", newInbox(cancel)))
}

func endsAlone(s *busSuite) {
	b := s.connect()
	first, second := s.subscribe(b, "same"), s.subscribe(b, "same")
	first.cancel()
	err := <-first.end
	first.end <- err
	for i := range 20 {
		s.publish(b, "same", text("still"))
		s.gets(second, i+1)
	}
	third := s.subscribe(b, "same")
	s.publish(b, "same", text("again"))
	s.gets(third, 1)
	s.gets(second, 21)
	s.gets(first, 0)
}

func endedContext(s *busSuite) {
	b := s.connect()
	in := s.subscribe(b, "ended")
	ctx, cancel := context.WithCancelCause(s.Context())
	cancel(errors.New("no more"))
	err := b.Publish(ctx, "ended", []pubsub.Message{text("x")})
	if err == nil { // an engine that does not wait need not look
		s.gets(in, 1)
		return
	}
	s.quiet(in, 0)
}

func large(s *busSuite) {
	size := s.o.Large
	if size == 0 {
		size = 512 << 10
	}
	b := s.connect()
	in := s.subscribe(s.connect(), "large")
	s.publish(b, "large", pubsub.Message{Data: bytes.Repeat([]byte("x"), size)})
	require.Len(s, s.gets(in, 1)[0].Data, size)
	if s.o.TooLarge > 0 {
		err := b.Publish(s.Context(), "large", []pubsub.Message{text("first"), {Data: make([]byte, s.o.TooLarge)}})
		require.ErrorIs(s, err, pubsub.ErrTooLarge)
		s.quiet(in, 1)
	}
}

func languages(s *busSuite) {
	b := s.connect()
	for _, topic := range []string{"bestellung.öffnen", "注文.作成", "a-b_c:d/e", strings.Repeat("x", pubsub.MaxTopic), "a.$b._c"} {
		require.NoError(s, pubsub.CheckTopic(topic))
		in := s.subscribe(b, topic)
		s.publish(b, topic, text("x"))
		require.Equal(s, topic, s.gets(in, 1)[0].Topic)
	}
}

func many(s *busSuite) {
	b := s.connect()
	var ins []*inbox
	for i := range 200 {
		ins = append(ins, s.subscribe(b, fmt.Sprintf("many.%d.>", i)))
	}
	for i := range ins {
		s.publish(b, fmt.Sprintf("many.%d.x", i), text(fmt.Sprint(i)))
	}
	for i, in := range ins {
		require.Equal(s, []string{fmt.Sprint(i)}, data(s.gets(in, 1)))
	}
}
