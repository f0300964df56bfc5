package pubsubtest

import (
	"bytes"
	"cmp"
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

// QueueOptions configure [RunQueue]. A nil *QueueOptions means the defaults.
type QueueOptions struct {
	// Lease is the lease of the consumers. It defaults to 2 s. Engines that are slow need a longer one.
	Lease time.Duration
	// Patience is how long a message may take beyond that. It defaults to 5 s.
	Patience time.Duration
	// TooLarge is the size of a payload that the engine must refuse, 0 for none.
	TooLarge int
	// Bubble wraps each case: [testing/synctest.Test] for an engine without I/O, so that no time passes. Nil runs cases as they are.
	Bubble func(*testing.T, func(*testing.T))
}

// RunQueue runs the suite. newStore makes an engine without topics; each call of connect is another process's way to it. The cases of
// partitions run on engines whose Info tells of some, the others on those without.
func RunQueue(t *testing.T, newStore func(t *testing.T) (connect func() pubsub.QueueBackend), o *QueueOptions) {
	t.Helper()
	if o == nil {
		o = new(QueueOptions)
	}
	for _, c := range []struct {
		name string
		run  func(*queueSuite)
	}{
		{"messages wait for a group", waits},
		{"messages come as they were published", asPublished},
		{"each group gets each message", groups},
		{"consumers of a group share", share},
		{"what is acked does not come again", acked},
		{"what is not settled comes again", again},
		{"an extended lease goes on", extended},
		{"a lost lease is not extended", lostLease},
		{"what is released comes again soon", released},
		{"a consumer that leaves lets go", leaves},
		{"an ID is stored once", deduped},
		{"delays", delays},
		{"dead letters", deadLetters},
		{"a dead letter is made once", buriedOnce},
		{"a poison message becomes a dead letter", poison},
		{"redrive", redriven},
		{"stats", stats},
		{"large messages are refused", tooLarge},
		{"a fetch ends with its context", fetchEnds},
		{"a fetch takes no more than it asked for", fetchLimit},
		{"a batch comes in order", batchInOrder},
		{"many at once lose nothing", atOnce},
		{"a partition has one consumer", partitions},
		{"what is given back of a partition keeps its order", givenBackInOrder},
		{"a partition that has all messages gets all the room", hotPartition},
		{"what is lost holds no partition", lostHoldsNothing},
	} {
		t.Run(c.name, func(t *testing.T) {
			run := func(t *testing.T) { c.run(newQueueSuite(t, newStore, o)) }
			if o.Bubble == nil {
				run(t)
				return
			}
			o.Bubble(t, run)
		})
	}
}

func newQueueSuite(t *testing.T, newStore func(t *testing.T) func() pubsub.QueueBackend, o *QueueOptions) *queueSuite {
	s := &queueSuite{
		T: t, connect: newStore(t), lease: cmp.Or(o.Lease, 2*time.Second), patience: cmp.Or(o.Patience, 5*time.Second), o: o,
	}
	info, err := s.connect().Info(t.Context())
	require.NoError(t, err)
	s.info = info
	return s
}

type queueSuite struct {
	*testing.T
	connect  func() pubsub.QueueBackend
	lease    time.Duration
	patience time.Duration
	info     pubsub.QueueInfo
	o        *QueueOptions
}

func (s *queueSuite) publish(b pubsub.QueueBackend, topic string, ms ...pubsub.Message) {
	s.Helper()
	require.NoError(s, b.Publish(s.Context(), topic, withIDs(ms), 0))
}

func withIDs(ms []pubsub.Message) []pubsub.Message {
	ms = slices.Clone(ms)
	for i := range ms {
		if ms[i].ID == "" {
			ms[i].ID = pubsub.NewID()
		}
	}
	return ms
}

// member is a consumer of a group.
type member struct {
	*queueSuite
	c    pubsub.QueueConsumer
	left sync.Once
}

func (s *queueSuite) join(b pubsub.QueueBackend, topic, group string) *member {
	s.Helper()
	c, err := b.Join(s.Context(), topic, group, pubsub.JoinOptions{Prefetch: 100, Lease: s.lease})
	require.NoError(s, err)
	m := &member{queueSuite: s, c: c}
	s.Cleanup(m.leave)
	return m
}

func (m *member) leave() {
	m.left.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), m.patience)
		defer cancel()
		require.NoError(m, m.c.Close(ctx))
	})
}

// within returns up to n messages that come within d.
func (m *member) within(d time.Duration, n int) (got []pubsub.Received) {
	m.Helper()
	ctx, cancel := context.WithTimeout(m.Context(), d)
	defer cancel()
	for len(got) < n {
		rs, err := m.c.Fetch(ctx, n-len(got))
		if ctx.Err() != nil && len(rs) == 0 {
			return got
		}
		require.NoError(m, err)
		require.NotEmpty(m, rs)
		require.LessOrEqual(m, len(rs), n-len(got), "more than were asked for")
		got = append(got, rs...)
	}
	return got
}

// gets returns n messages, which must come.
func (m *member) gets(n int) []pubsub.Received {
	m.Helper()
	return m.getsWithin(m.patience, n)
}

func (m *member) getsWithin(d time.Duration, n int) []pubsub.Received {
	m.Helper()
	got := m.within(d, n)
	require.Len(m, got, n, "messages are missing")
	return got
}

// quiet makes sure that nothing comes for d.
func (m *member) quiet(d time.Duration) {
	m.Helper()
	require.Empty(m, texts(m.within(d, 1)), "nothing should come")
}

func (m *member) ack(rs ...pubsub.Received) {
	m.Helper()
	require.NoError(m, m.c.Ack(m.Context(), receipts(rs)))
}

func (m *member) bury(r pubsub.Received, d pubsub.DeadLetter) bool {
	m.Helper()
	buried, err := m.c.Bury(m.Context(), r.Receipt, d)
	require.NoError(m, err)
	return buried
}

func receipts(rs []pubsub.Received) (out []pubsub.Receipt) {
	for _, r := range rs {
		out = append(out, r.Receipt)
	}
	return out
}

func texts(rs []pubsub.Received) (out []string) {
	for _, r := range rs {
		out = append(out, string(r.Data))
	}
	return out
}

func waits(s *queueSuite) {
	b := s.connect()
	s.publish(b, "orders", text("1"), text("2"))
	m := s.join(s.connect(), "orders", "billing")
	s.publish(b, "orders", text("3"))
	got := m.gets(3)
	if s.info.Partitions == 0 {
		require.Equal(s, []string{"1", "2", "3"}, texts(got))
	}
	require.ElementsMatch(s, []string{"1", "2", "3"}, texts(got))
	for _, r := range got {
		require.Equal(s, 1, r.Delivered)
		require.NotZero(s, r.Token)
		require.WithinDuration(s, time.Now(), r.Published, time.Minute)
		require.WithinDuration(s, time.Now(), r.Asked, time.Minute)
	}
	m.ack(got...)
}

func asPublished(s *queueSuite) {
	sent := []pubsub.Message{
		{Data: []byte("plain")},
		{},
		{ID: "id 1", Key: "Kunde/ä", Header: pubsub.Header{"traceparent": "00-1", "X-Empty": "", "Data": "x"}, Data: []byte{0, 1, 0xff, '\n', '\r'}},
		{ID: strings.Repeat("x", pubsub.MaxID), Key: strings.Repeat("k", pubsub.MaxID)},
		{Header: pubsub.Header{"a": strings.Repeat("v", 5000)}, Data: []byte("\r\n\r\nNATS/1.0\r\n")},
		{Key: "only a key"},
		{Data: bytes.Repeat([]byte("x"), 256<<10)},
	}
	sent = withIDs(sent)
	for _, topic := range []string{"a.b", "bestellung.öffnen", "注文/x:{y}", strings.Repeat("x", 200)} {
		b := s.connect()
		s.publish(b, topic, sent...)
		m := s.join(s.connect(), topic, "g")
		got := m.gets(len(sent))
		for _, want := range sent {
			i := slices.IndexFunc(got, func(r pubsub.Received) bool { return r.ID == want.ID })
			require.GreaterOrEqual(s, i, 0, "%q is missing", want.ID)
			m := got[i].Message
			require.Equal(s, topic, m.Topic)
			require.Equal(s, want.Key, m.Key)
			require.True(s, bytes.Equal(want.Data, m.Data), "%.40q became %.40q", want.Data, m.Data)
			require.Len(s, m.Header, len(want.Header))
			for k, v := range want.Header {
				require.Equal(s, v, m.Header[k], k)
			}
		}
		m.ack(got...)
	}
}

func groups(s *queueSuite) {
	b := s.connect()
	billing, shipping := s.join(b, "orders", "billing"), s.join(s.connect(), "orders", "shipping")
	other := s.join(b, "orders2", "billing")
	s.publish(b, "orders", text("1"))
	for _, m := range []*member{billing, shipping} {
		got := m.gets(1)
		require.Equal(s, []string{"1"}, texts(got))
		m.ack(got...)
	}
	other.quiet(s.lease / 4)
}

func share(s *queueSuite) {
	if s.info.Partitions > 0 {
		s.Skip("its partitions are shared otherwise")
	}
	one, two := s.join(s.connect(), "t", "g"), s.join(s.connect(), "t", "g")
	b := s.connect()
	for i := range 20 {
		s.publish(b, "t", text(fmt.Sprint(i)))
	}
	seen := map[string]bool{}
	first := one.gets(5)
	rest := two.gets(15)
	for _, r := range append(first, rest...) {
		require.False(s, seen[string(r.Data)], "both got %q", r.Data)
		seen[string(r.Data)] = true
	}
	one.ack(first...)
	two.ack(rest...)
	one.quiet(s.lease / 4)
}

func acked(s *queueSuite) {
	b := s.connect()
	m := s.join(b, "t", "g")
	s.publish(b, "t", text("1"), text("2"))
	got := m.gets(2)
	m.ack(got...)
	m.ack(got...) // its answer might have been lost
	m.quiet(s.lease + s.lease/2)
	m.leave()
	s.join(s.connect(), "t", "g").quiet(s.lease / 2)
}

func again(s *queueSuite) {
	b := s.connect()
	one := s.join(b, "t", "g")
	s.publish(b, "t", text("1"))
	first := one.gets(1)[0]
	second := one.getsWithin(s.lease+s.patience, 1)[0]
	require.GreaterOrEqual(s, time.Since(first.Asked), s.lease-s.lease/10, "too early")
	require.Equal(s, first.ID, second.ID)
	require.Equal(s, "1", string(second.Data))
	require.Equal(s, 2, second.Delivered)
	require.GreaterOrEqual(s, second.Token, first.Token)
	if s.info.Partitions == 0 {
		require.Greater(s, second.Token, first.Token)
		two := s.join(s.connect(), "t", "g")
		third := two.getsWithin(s.lease+s.patience, 1)[0]
		require.Equal(s, 3, third.Delivered)
		require.Greater(s, third.Token, second.Token)
		two.ack(third)
		return
	}
	one.ack(second)
}

func extended(s *queueSuite) {
	b := s.connect()
	m, other := s.join(b, "t", "g"), s.join(s.connect(), "t", "g")
	s.publish(b, "t", text("1"))
	var got []pubsub.Received
	for len(got) == 0 {
		if got = m.within(s.lease/4, 1); len(got) == 0 { // the other has the partition
			if got = other.within(s.lease/4, 1); len(got) > 0 {
				m, other = other, m
			}
		}
	}
	for range 6 {
		other.quiet(s.lease / 3)
		kept, err := m.c.Extend(s.Context(), receipts(got))
		require.NoError(s, err)
		require.Equal(s, []bool{true}, kept)
	}
	m.ack(got...)
	other.quiet(s.lease + s.lease/2)
}

func lostLease(s *queueSuite) {
	if s.info.Partitions > 0 {
		s.Skip("it would be handed out to the same one")
	}
	b := s.connect()
	m, other := s.join(b, "t", "g"), s.join(s.connect(), "t", "g")
	s.publish(b, "t", text("1"), text("2"))
	got := m.gets(2)
	time.Sleep(s.lease)
	second := other.getsWithin(s.lease+s.patience, 2)
	other.ack(second[0])
	kept, err := m.c.Extend(s.Context(), receipts(got))
	require.NoError(s, err)
	require.Equal(s, []bool{false, false}, kept)
	require.NoError(s, m.c.Release(s.Context(), receipts(got)))
	require.False(s, m.bury(got[1], pubsub.DeadLetter{Message: got[1].Message, Group: "g", Attempts: 1, Error: "bad"}))
	require.Empty(s, s.letters(b, "t", "g"))
	kept, err = other.c.Extend(s.Context(), receipts(second[1:]))
	require.NoError(s, err)
	require.Equal(s, []bool{true}, kept, "the one that has lost it must not take it back")
	other.ack(second[1])
	other.quiet(s.lease + s.lease/2)
}

func released(s *queueSuite) {
	b := s.connect()
	m := s.join(b, "t", "g")
	s.publish(b, "t", text("1"))
	got := m.gets(1)
	require.NoError(s, m.c.Release(s.Context(), receipts(got)))
	begin := time.Now()
	second := m.gets(1)
	require.Less(s, time.Since(begin), s.lease/2+s.patience/5)
	require.Equal(s, got[0].ID, second[0].ID)
	m.ack(second...)
	m.quiet(s.lease + s.lease/2)
}

func leaves(s *queueSuite) {
	b := s.connect()
	m := s.join(b, "t", "g")
	s.publish(b, "t", text("1"), text("2"), text("3"))
	got := m.gets(3)
	m.ack(got[0])
	m.leave()
	other := s.join(s.connect(), "t", "g")
	rest := other.getsWithin(s.lease+s.patience, 2)
	require.ElementsMatch(s, texts(got[1:]), texts(rest), "none is lost with its consumer")
	other.ack(rest...)
}

func deduped(s *queueSuite) {
	b := s.connect()
	m := s.join(b, "t", "g")
	one := pubsub.Message{ID: "one", Data: []byte("1")}
	s.publish(b, "t", one, pubsub.Message{ID: "two", Data: []byte("2")})
	s.publish(s.connect(), "t", one)
	s.publish(b, "t", pubsub.Message{ID: "three", Data: []byte("3")}, one, one)
	s.publish(b, "t2", one)
	got := m.gets(3)
	require.ElementsMatch(s, []string{"1", "2", "3"}, texts(got))
	m.ack(got...)
	s.publish(b, "t", one) // also after it was handled
	m.quiet(s.lease / 2)
	require.Len(s, s.join(b, "t2", "g").gets(1), 1, "another topic")
}

func delays(s *queueSuite) {
	b := s.connect()
	m := s.join(b, "t", "g")
	begin := time.Now()
	err := b.Publish(s.Context(), "t", withIDs([]pubsub.Message{text("late")}), 2*time.Second)
	if !s.info.Delays {
		require.ErrorIs(s, err, pubsub.ErrUnsupported)
		return
	}
	require.NoError(s, err)
	require.NoError(s, b.Publish(s.Context(), "t", withIDs([]pubsub.Message{text("soon")}), time.Second))
	s.publish(b, "t", text("now"))
	published := time.Now()
	for _, want := range []struct {
		data  string
		after time.Duration
	}{{"now", 0}, {"soon", time.Second}, {"late", 2 * time.Second}} {
		got := m.getsWithin(want.after+s.patience, 1)
		require.Equal(s, want.data, string(got[0].Data))
		require.GreaterOrEqual(s, time.Since(begin), want.after-50*time.Millisecond)
		require.Less(s, time.Since(published), want.after+time.Second)
		m.ack(got...)
	}
	id := pubsub.Message{ID: "once", Data: []byte("once")}
	for range 2 {
		require.NoError(s, b.Publish(s.Context(), "t", []pubsub.Message{id}, 500*time.Millisecond))
	}
	m.ack(m.gets(1)...)
	m.quiet(s.lease)
}

// letters returns the dead letters of a group.
func (s *queueSuite) letters(b pubsub.QueueBackend, topic, group string) []pubsub.DeadLetter {
	s.Helper()
	ds, err := b.Dead(s.Context(), topic, group, "", 100)
	require.NoError(s, err)
	return ds
}

func deadLetters(s *queueSuite) {
	b := s.connect()
	m := s.join(b, "t", "g")
	require.Empty(s, s.letters(b, "t", "g"))
	for i := range 5 {
		s.publish(b, "t", pubsub.Message{
			ID: fmt.Sprint("id", i), Key: "k", Header: pubsub.Header{"a": "b"}, Data: fmt.Append(nil, i),
		})
	}
	got := m.gets(5)
	for i, r := range got {
		kept, err := m.c.Extend(s.Context(), receipts(got[i:])) // on a slow link one letter after the other can outlast a lease
		require.NoError(s, err)
		require.NotContains(s, kept, false)
		require.True(s, m.bury(r, pubsub.DeadLetter{Message: r.Message, Group: "g", Attempts: 3 + i, Error: "line 1\nline 2 \xff"}))
	}
	m.quiet(s.lease + s.lease/2)
	ds := s.letters(s.connect(), "t", "g")
	require.Len(s, ds, 5)
	for i, d := range ds {
		require.Equal(s, fmt.Sprint("id", i), d.ID)
		require.Equal(s, "k", d.Key)
		require.Equal(s, "t", d.Topic)
		require.Equal(s, "g", d.Group)
		require.Equal(s, "b", d.Header["a"])
		require.Len(s, d.Header, 1)
		require.Equal(s, fmt.Sprint(i), string(d.Data))
		require.Equal(s, 3+i, d.Attempts)
		require.True(s, strings.HasPrefix(d.Error, "line 1"), d.Error)
		require.WithinDuration(s, time.Now(), d.At, time.Minute)
	}
	rest, err := b.Dead(s.Context(), "t", "g", ds[1].Ref, 2)
	require.NoError(s, err)
	require.Len(s, rest, 2)
	require.Equal(s, ds[2].Ref, rest[0].Ref)
	require.Empty(s, s.letters(b, "t", "other"))
	require.Empty(s, s.letters(b, "other", "g"))
}

func buriedOnce(s *queueSuite) {
	b := s.connect()
	m := s.join(b, "t", "g")
	s.publish(b, "t", text("1"))
	got := m.gets(1)[0]
	letter := pubsub.DeadLetter{Message: got.Message, Group: "g", Attempts: 1, Error: "bad"}
	require.True(s, m.bury(got, letter))
	for range 2 { // its answer might have been lost
		require.False(s, m.bury(got, letter))
	}
	require.Len(s, s.letters(b, "t", "g"), 1)
	m.quiet(s.lease + s.lease/2)
}

func poison(s *queueSuite) {
	const healthy, deliveries = 20, 3
	b := s.connect()
	q := pubsub.NewQueue(b, nil)
	var mu sync.Mutex
	seen := map[string]int{}
	c, err := q.Consume(s.Context(), "t", "g", func(_ context.Context, d *pubsub.Delivery) error {
		mu.Lock()
		defer mu.Unlock()
		seen[string(d.Data)]++
		if string(d.Data) == "poison" {
			return errors.New("bad")
		}
		return nil
	}, &pubsub.ConsumeOptions{Deliveries: deliveries, Backoff: []time.Duration{10 * time.Millisecond}})
	require.NoError(s, err)
	s.Cleanup(func() { require.NoError(s, c.Drain(context.Background())) })
	ms := []pubsub.Message{text("poison")}
	for i := range healthy {
		ms = append(ms, text(fmt.Sprint(i)))
	}
	require.NoError(s, q.Publish(s.Context(), "t", ms...))
	require.Eventually(s, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(seen) == healthy+1
	}, s.patience, 5*time.Millisecond, "others flow")
	require.Eventually(s, func() bool { return len(s.letters(b, "t", "g")) == 1 }, s.patience, 50*time.Millisecond)
	d := s.letters(b, "t", "g")[0]
	require.Equal(s, "poison", string(d.Data))
	require.Equal(s, "bad", d.Error)
	require.Equal(s, deliveries, d.Attempts)
	mu.Lock()
	defer mu.Unlock()
	require.Equal(s, deliveries, seen["poison"])
}

func redriven(s *queueSuite) {
	b := s.connect()
	m, other := s.join(b, "t", "g"), s.join(b, "t", "other")
	s.publish(b, "t", pubsub.Message{ID: "x", Key: "k", Header: pubsub.Header{"a": "b"}, Data: []byte("1")})
	other.ack(other.gets(1)...)
	got := m.gets(1)[0]
	require.True(s, m.bury(got, pubsub.DeadLetter{Message: got.Message, Group: "g", Attempts: 5, Error: "bad"}))
	d := s.letters(b, "t", "g")[0]
	ok, err := s.connect().Redrive(s.Context(), d)
	require.NoError(s, err)
	require.True(s, ok)
	back := m.gets(1)[0]
	require.Equal(s, "1", string(back.Data))
	require.Equal(s, "k", back.Key)
	require.Equal(s, "x", back.ID)
	require.Equal(s, pubsub.Header{"a": "b"}, back.Header)
	require.Equal(s, 1, back.Delivered)
	require.Empty(s, s.letters(b, "t", "g"))
	ok, err = b.Redrive(s.Context(), d)
	require.NoError(s, err)
	require.False(s, ok)
	m.ack(back)
	m.quiet(s.lease / 2)
	other.quiet(s.lease / 2)
}

func stats(s *queueSuite) {
	b := s.connect()
	require.Equal(s, pubsub.Stats{}, s.stats(b, "t", "g"))
	s.publish(b, "t", text("1"), text("2"), text("3"))
	require.Equal(s, 3, s.stats(b, "t", "nobody").Waiting)
	m := s.join(b, "t", "g")
	got := m.gets(2)
	s.eventually(pubsub.Stats{Waiting: 1, Pending: 2}, b, "t", "g")
	m.ack(got[0])
	require.True(s, m.bury(got[1], pubsub.DeadLetter{Message: got[1].Message, Group: "g", Error: "x"}))
	want := pubsub.Stats{Waiting: 1, Dead: 1}
	s.eventually(want, b, "t", "g")
	if s.info.Delays {
		require.NoError(s, b.Publish(s.Context(), "t", withIDs([]pubsub.Message{text("late")}), time.Hour))
		want.Delayed = 1
		s.eventually(want, b, "t", "g")
	}
	m.ack(m.gets(1)...)
	want.Waiting = 0
	s.eventually(want, b, "t", "g")
}

func (s *queueSuite) stats(b pubsub.QueueBackend, topic, group string) pubsub.Stats {
	s.Helper()
	st, err := b.Stats(s.Context(), topic, group)
	require.NoError(s, err)
	return st
}

func (s *queueSuite) eventually(want pubsub.Stats, b pubsub.QueueBackend, topic, group string) {
	s.Helper()
	var got pubsub.Stats
	for deadline := time.Now().Add(s.patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		got = s.stats(b, topic, group)
		if s.info.Partitions > 0 { // an owner may have been handed more than it has fetched
			got.Pending += got.Waiting
			got.Waiting = 0
			want.Pending += want.Waiting
			want.Waiting = 0
		}
		if got == want {
			return
		}
	}
	require.Equal(s, want, got)
}

func tooLarge(s *queueSuite) {
	if s.o.TooLarge == 0 {
		s.Skip("the engine has no limit")
	}
	b := s.connect()
	m := s.join(b, "t", "g")
	err := b.Publish(s.Context(), "t", withIDs([]pubsub.Message{text("first"), {Data: make([]byte, s.o.TooLarge)}}), 0)
	require.ErrorIs(s, err, pubsub.ErrTooLarge)
	m.quiet(s.lease / 2)
}

func fetchEnds(s *queueSuite) {
	b := s.connect()
	m := s.join(b, "t", "g")
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(s.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := m.c.Fetch(ctx, 10)
		ended <- err
	}()
	time.Sleep(50 * time.Millisecond)
	cancel(why)
	select {
	case err := <-ended:
		require.Error(s, err)
	case <-time.After(s.patience):
		require.Fail(s, "a fetch does not end")
	}
	s.publish(b, "t", text("1"))
	require.Len(s, m.getsWithin(s.lease+s.patience, 1), 1, "a fetch that has ended must not keep what comes")
}

func fetchLimit(s *queueSuite) {
	b := s.connect()
	m := s.join(b, "t", "g")
	for i := range 10 {
		s.publish(b, "t", text(fmt.Sprint(i)))
	}
	for range 5 {
		rs, err := m.c.Fetch(s.Context(), 2)
		require.NoError(s, err)
		require.LessOrEqual(s, len(rs), 2)
		m.ack(rs...)
	}
}

func batchInOrder(s *queueSuite) {
	if s.info.Partitions > 0 {
		s.Skip("only the messages of a key are in order")
	}
	b := s.connect()
	var ms []pubsub.Message
	var want []string
	for i := range 1000 {
		want = append(want, fmt.Sprint(i))
		ms = append(ms, text(want[i]))
	}
	s.publish(b, "t", ms...)
	m := s.join(b, "t", "g")
	var got []string
	for len(got) < len(want) {
		rs := m.within(s.patience, min(50, len(want)-len(got)))
		require.NotEmpty(s, rs)
		got = append(got, texts(rs)...)
		m.ack(rs...)
	}
	require.Equal(s, want, got)
}

// atOnce publishes and consumes from several processes, some of which leave with messages.
func atOnce(s *queueSuite) {
	const publishers, each = 4, 250
	ctx, cancel := context.WithCancel(s.Context())
	defer cancel()
	var mu sync.Mutex
	settled := map[string]int{}
	all := make(chan struct{})
	var work sync.WaitGroup
	for i := range 4 {
		c, err := s.connect().Join(ctx, "t", "g", pubsub.JoinOptions{Prefetch: 20, Lease: s.lease})
		require.NoError(s, err)
		work.Go(func() {
			for n := 0; ; n++ {
				rs, err := c.Fetch(ctx, 20)
				if err != nil {
					break
				}
				if i == 0 && n == 3 {
					break // with all that it has
				}
				if err := c.Ack(ctx, receipts(rs)); err != nil {
					break
				}
				mu.Lock()
				for _, r := range rs {
					settled[r.ID]++
				}
				if len(settled) == publishers*each {
					select {
					case <-all:
					default:
						close(all)
					}
				}
				mu.Unlock()
			}
			c.Close(context.Background())
		})
	}
	var sent sync.WaitGroup
	for p := range publishers {
		b := s.connect()
		sent.Go(func() {
			for i := range each / 5 {
				var ms []pubsub.Message
				for j := range 5 {
					ms = append(ms, pubsub.Message{ID: fmt.Sprintf("%d-%d-%d", p, i, j), Key: fmt.Sprint(i)})
				}
				if err := b.Publish(s.Context(), "t", ms, 0); err != nil {
					s.Error(err)
				}
			}
		})
	}
	sent.Wait()
	select {
	case <-all:
	case <-time.After(2*s.lease + 2*s.patience):
		mu.Lock()
		require.Fail(s, "messages are missing", "%d of %d were settled", len(settled), publishers*each)
		mu.Unlock()
	}
	cancel()
	work.Wait()
}

func partitions(s *queueSuite) {
	if s.info.Partitions < 2 {
		s.Skip("the engine has no partitions here")
	}
	b := s.connect()
	one, two := s.join(b, "t", "g"), s.join(s.connect(), "t", "g")
	const keys, each = 20, 5
	for i := range each {
		for k := range keys {
			s.publish(b, "t", pubsub.Message{Key: fmt.Sprint(k), Data: fmt.Append(nil, i)})
		}
	}
	var without []pubsub.Message
	for range keys {
		without = append(without, pubsub.Message{Data: []byte("any")})
	}
	s.publish(b, "t", without...)
	owner := map[int]*member{}
	loose := map[int]bool{} // partitions of messages without a key
	token := map[int]uint64{}
	next := map[string]int{}
	part := map[string]int{}
	for total := 0; total < keys*each+keys; {
		for _, m := range []*member{one, two} {
			for _, r := range m.within(s.lease/4, 10) {
				total++
				require.Equal(s, r.Message.Partition(s.info.Partitions), r.Partition)
				if r.Key == "" {
					loose[r.Partition] = true
					m.ack(r)
					continue
				}
				if p, ok := part[r.Key]; ok {
					require.Equal(s, p, r.Partition, "a key has one partition")
				}
				part[r.Key] = r.Partition
				if o, ok := owner[r.Partition]; ok && o != m {
					require.Greater(s, r.Token, token[r.Partition], "another consumer has a greater token")
				}
				owner[r.Partition], token[r.Partition] = m, max(token[r.Partition], r.Token)
				require.Equal(s, fmt.Sprint(next[r.Key]), string(r.Data), "in the order of the key %s", r.Key)
				next[r.Key]++
				m.ack(r)
			}
		}
	}
	seen := map[*member]bool{}
	for _, m := range owner {
		seen[m] = true
	}
	require.Len(s, seen, 2, "both have partitions")
	require.Greater(s, len(loose), 1, "messages without a key are spread")

	s.publish(b, "t", pubsub.Message{Key: "0", Data: []byte("a")}, pubsub.Message{Key: "0", Data: []byte("b")})
	holder := owner[part["0"]]
	got := holder.getsWithin(s.patience, 1)
	holder.leave()
	other := one
	if holder == one {
		other = two
	}
	rest := other.getsWithin(s.lease+s.patience, 2)
	require.Equal(s, []string{"a", "b"}, texts(rest))
	require.Greater(s, rest[0].Token, got[0].Token)
	other.ack(rest...)
}

func givenBackInOrder(s *queueSuite) {
	if s.info.Partitions == 0 {
		s.Skip("the engine has no partitions here")
	}
	b := s.connect()
	m := s.join(b, "t", "g")
	var want []string
	for i := range 8 {
		want = append(want, fmt.Sprint(i))
		s.publish(b, "t", pubsub.Message{Key: "k", Data: fmt.Append(nil, i)})
	}
	got := m.gets(4)
	require.Equal(s, want[:4], texts(got))
	require.NoError(s, m.c.Release(s.Context(), receipts(got[1:])))
	m.leave() // with the first one, and what has come since then
	other := s.join(s.connect(), "t", "g")
	rest := other.getsWithin(s.lease+s.patience, len(want))
	require.Equal(s, want, texts(rest))
	other.ack(rest[:2]...)
	require.NoError(s, other.c.Release(s.Context(), receipts(rest[2:])))
	second := other.getsWithin(s.lease+s.patience, len(want)-2)
	require.Equal(s, want[2:], texts(second), "also to the one that has released them")
	other.ack(second...)
}

func hotPartition(s *queueSuite) {
	if s.info.Partitions < 2 {
		s.Skip("the engine has no partitions here")
	}
	const room = 8
	b := s.connect()
	var ms []pubsub.Message
	for i := 0; len(ms) < room; i++ {
		m := pubsub.Message{Key: fmt.Sprint(i)}
		if m.Partition(s.info.Partitions) == 1 {
			ms = append(ms, m)
		}
	}
	s.publish(b, "t", ms...)
	c, err := b.Join(s.Context(), "t", "g", pubsub.JoinOptions{Prefetch: room, Lease: 5 * s.lease})
	require.NoError(s, err)
	m := &member{queueSuite: s, c: c}
	s.Cleanup(m.leave)
	m.ack(m.getsWithin(s.lease/2+s.patience/10, room)...)
}

func lostHoldsNothing(s *queueSuite) {
	if s.info.Partitions < 2 {
		s.Skip("the engine has no partitions here")
	}
	b := s.connect()
	loser := s.join(b, "t", "g")
	var ms []pubsub.Message
	for i := range 10 * s.info.Partitions {
		ms = append(ms, pubsub.Message{Key: fmt.Sprint(i)})
	}
	s.publish(b, "t", ms...)
	loser.gets(len(ms))
	time.Sleep(s.lease) // it has lost them, and goes on
	other := s.join(s.connect(), "t", "g")
	other.ack(other.getsWithin(s.lease+s.patience, 1)...)
}
