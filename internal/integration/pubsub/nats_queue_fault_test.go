package pubsub_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/internal/integration/natsserver"
	"github.com/concordkit/concord/pubsub"
	"github.com/concordkit/concord/pubsub/natspubsub"
)

const (
	natsLease    = 2 * time.Second
	natsPatience = 20 * time.Second
)

// natsQueue returns another process's way to the servers.
func natsQueue(t *testing.T, c *natsserver.Cluster, links faultproxy.Links, o *natspubsub.QueueOptions) *natspubsub.Queue {
	t.Helper()
	if links == nil {
		return natspubsub.NewQueue(natsStream(t, c.Dial(t)), o)
	}
	return natspubsub.NewQueue(natsStream(t, c.DialThrough(t, links, nil)), o)
}

func natsJoin(t *testing.T, q *natspubsub.Queue, n int) pubsub.QueueConsumer {
	t.Helper()
	return natsJoinFor(t, q, n, natsLease)
}

func natsJoinFor(t *testing.T, q *natspubsub.Queue, n int, lease time.Duration) pubsub.QueueConsumer {
	t.Helper()
	qc, err := q.Join(t.Context(), "t", "g", pubsub.JoinOptions{Prefetch: n, Lease: lease})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), natsPatience)
		defer cancel()
		qc.Close(ctx)
	})
	return qc
}

func natsFetch(t *testing.T, qc pubsub.QueueConsumer, d time.Duration, n int) (got []pubsub.Received) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	for len(got) < n {
		rs, err := qc.Fetch(ctx, n-len(got))
		if err != nil {
			require.ErrorIs(t, err, context.DeadlineExceeded)
			return got
		}
		got = append(got, rs...)
	}
	return got
}

func natsNumbered(from, to int) (ms []pubsub.Message) {
	for i := from; i < to; i++ {
		ms = append(ms, pubsub.Message{ID: fmt.Sprint(i), Key: fmt.Sprint(i % 10), Data: fmt.Append(nil, i)})
	}
	return ms
}

func natsReceipts(rs []pubsub.Received) (out []pubsub.Receipt) {
	for _, r := range rs {
		out = append(out, r.Receipt)
	}
	return out
}

func natsShort(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestNATSQueueLostPublishAck(t *testing.T) {
	t.Parallel()
	c := natsserver.Start(t, 1)
	links := c.Links(t)
	q := natsQueue(t, c, links, nil)
	qc := natsJoin(t, natsQueue(t, c, nil, nil), 10)
	require.NoError(t, q.Publish(t.Context(), "t", natsNumbered(0, 1), 0))
	links.Set(faultproxy.Faults{BlackholeDown: true})
	require.ErrorIs(t, q.Publish(natsShort(t, 300*time.Millisecond), "t", natsNumbered(1, 3), 0), context.DeadlineExceeded)
	require.Len(t, natsFetch(t, qc, natsPatience, 3), 3, "only the answer was lost, or the test proves nothing")
	links.Heal()
	require.NoError(t, q.Publish(t.Context(), "t", natsNumbered(1, 3), 0))
	s, err := q.Stats(t.Context(), "t", "other")
	require.NoError(t, err)
	require.Equal(t, 3, s.Waiting, "one message for each ID")
}

// natsLedger is what was acknowledged to publishers, and what groups have got.
type natsLedger struct {
	mu          sync.Mutex
	acked, came map[string]bool
}

func newNATSLedger() *natsLedger {
	return &natsLedger{acked: map[string]bool{}, came: map[string]bool{}}
}

func (s *natsLedger) add(m map[string]bool, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m[id] = true
}

// missing returns how many messages were acknowledged and have not come.
func (s *natsLedger) missing() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.acked {
		if !s.came[id] {
			n++
		}
	}
	return n
}

// While messages are published and consumed, disturb breaks things. All that was acknowledged must come.
func natsSet(t *testing.T, c *natsserver.Cluster, o *natspubsub.QueueOptions, lossy bool, disturb func()) int {
	s := newNATSLedger()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var publishing, consuming sync.WaitGroup
	consumers := make([]*pubsub.Consumer, 2)
	for i := range consumers {
		var err error
		n := 0
		var mu sync.Mutex
		consumers[i], err = pubsub.NewQueue(natsQueue(t, c, nil, o), nil).Consume(t.Context(), "t", "g",
			func(_ context.Context, d *pubsub.Delivery) error {
				mu.Lock()
				n++
				lost := lossy && n%50 == 0
				mu.Unlock()
				if !lost { // the control acks what it has not handled
					s.add(s.came, d.ID)
				}
				return nil
			}, &pubsub.ConsumeOptions{Lease: natsLease, Prefetch: 50})
		require.NoError(t, err)
	}
	for p := range 2 {
		q := natsQueue(t, c, nil, o)
		publishing.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				var ms []pubsub.Message
				for j := range 5 {
					ms = append(ms, pubsub.Message{ID: fmt.Sprintf("%d-%d-%d", p, i, j), Key: fmt.Sprint(j)})
				}
				try, cancel := context.WithTimeout(ctx, natsPatience)
				err := q.Publish(try, "t", ms, 0)
				cancel()
				if err == nil {
					for _, m := range ms {
						s.add(s.acked, m.ID)
					}
				}
				time.Sleep(2 * time.Millisecond)
			}
		})
	}
	time.Sleep(time.Second)
	disturb()
	time.Sleep(time.Second)
	stop()
	publishing.Wait()
	for start := time.Now(); s.missing() > 0 && time.Since(start) < natsPatience && !lossy; {
		time.Sleep(50 * time.Millisecond)
	}
	for _, qc := range consumers {
		consuming.Go(func() { qc.Drain(natsShort(t, natsPatience)) })
	}
	consuming.Wait()
	s.mu.Lock()
	n := len(s.acked)
	s.mu.Unlock()
	require.Greater(t, n, 50, "too little was published for the test to prove anything")
	t.Logf("%d messages, %d missing", n, s.missing())
	return s.missing()
}

func TestNATSQueueRestart(t *testing.T) {
	t.Parallel()
	for _, partitions := range []int{0, 4} {
		t.Run(fmt.Sprint(partitions), func(t *testing.T) {
			t.Parallel()
			c := natsserver.Start(t, 1)
			require.Zero(t, natsSet(t, c, &natspubsub.QueueOptions{Partitions: partitions}, false, func() {
				for range 3 {
					c.Restart(0)
					time.Sleep(300 * time.Millisecond)
				}
			}))
		})
	}
	t.Run("control", func(t *testing.T) {
		t.Parallel()
		require.NotZero(t, natsSet(t, natsserver.Start(t, 1), nil, true, func() {}), "the checker must find what is lost")
	})
}

func TestNATSQueueLeaderCutOff(t *testing.T) {
	t.Parallel()
	c := natsserver.Start(t, 3)
	o := &natspubsub.QueueOptions{Replicas: 3}
	i, err := natsQueue(t, c, nil, o).Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, pubsub.Replicated, i.Durability)
	require.Zero(t, natsSet(t, c, o, false, func() {
		leader := c.StreamLeader(t, "queue_t")
		c.Isolate(leader)
		time.Sleep(15 * time.Second)
		c.Heal()
		time.Sleep(2 * time.Second)
	}))
}

func TestNATSQueueConsumerDies(t *testing.T) {
	t.Parallel()
	for _, partitions := range []int{0, 4} {
		t.Run(fmt.Sprint(partitions), func(t *testing.T) {
			t.Parallel()
			c := natsserver.Start(t, 1)
			o := &natspubsub.QueueOptions{Partitions: partitions}
			links := c.Links(t)
			victim := natsJoin(t, natsQueue(t, c, links, o), 100)
			q := natsQueue(t, c, nil, o)
			require.NoError(t, q.Publish(t.Context(), "t", natsNumbered(0, 150), 0))
			had := natsFetch(t, victim, natsPatience, 100)
			require.Len(t, had, 100)
			links.Set(faultproxy.Faults{BlackholeUp: true, BlackholeDown: true})
			heir := natsJoin(t, natsQueue(t, c, nil, o), 200)
			seen := map[string]int{}
			begin := time.Now()
			for patience := natsShort(t, natsPatience); len(seen) < 150; {
				got, err := heir.Fetch(patience, 50)
				require.NoError(t, err)
				for _, r := range got {
					seen[r.ID]++
				}
				require.NoError(t, heir.Ack(t.Context(), natsReceipts(got)))
			}
			require.Len(t, seen, 150, "others get all")
			require.Less(t, time.Since(begin), 3*natsLease+2*time.Second)
			links.Heal()
			kept, err := victim.Extend(t.Context(), natsReceipts(had))
			require.NoError(t, err)
			require.NotContains(t, kept, true, "who comes back too late has nothing")
			require.Empty(t, natsFetch(t, victim, natsLease, 10))
		})
	}
}

const (
	natsLongLease = 10 * time.Second // a pin lasts 15 s
	natsSoon      = natsLongLease / 2
)

// natsKeyed are messages of one key.
func natsKeyed(n int) (ms []pubsub.Message) {
	for i := range n {
		ms = append(ms, pubsub.Message{ID: fmt.Sprint(i), Key: "k"})
	}
	return ms
}

func natsIDs(rs []pubsub.Received) (ids []string) {
	for _, r := range rs {
		ids = append(ids, r.ID)
	}
	return ids
}

// A partition that comes when nobody waits for it any more is not lost for the rest of its pin, neither to who asked for it nor, when
// that one leaves, to others.
func TestNATSQueuePartitionComesLate(t *testing.T) {
	t.Parallel()
	const latency = 200 * time.Millisecond
	for _, leaves := range []bool{false, true} {
		t.Run(fmt.Sprintf("leaves=%v", leaves), func(t *testing.T) {
			t.Parallel()
			c := natsserver.Start(t, 1)
			o := &natspubsub.QueueOptions{Partitions: 1}
			links := c.Links(t)
			qc := natsJoinFor(t, natsQueue(t, c, links, o), 10, natsLongLease)
			q := natsQueue(t, c, nil, o)
			require.NoError(t, q.Publish(t.Context(), "t", natsKeyed(3), 0))
			links.Set(faultproxy.Faults{Latency: latency})
			require.Empty(t, natsFetch(t, qc, latency+latency/2, 1), "or the test proves nothing")
			if leaves {
				require.NoError(t, qc.Close(t.Context()))
				qc = natsJoinFor(t, q, 10, natsLongLease)
			}
			var got []pubsub.Received
			for soon := natsShort(t, natsSoon); len(got) < 3; {
				rs, err := qc.Fetch(soon, 1)
				require.NoError(t, err)
				got = append(got, rs...)
			}
			require.Equal(t, []string{"0", "1", "2"}, natsIDs(got), "what comes late is not overtaken")
		})
	}
}

// Nor is one that the server gives to a request that nobody waits for.
func TestNATSQueuePartitionForNobody(t *testing.T) {
	t.Parallel()
	c := natsserver.Start(t, 1)
	o := &natspubsub.QueueOptions{Partitions: 1}
	q := natsQueue(t, c, nil, o)
	require.NoError(t, q.Publish(t.Context(), "t", natsNumbered(0, 1), 0))
	leaver := natsJoinFor(t, natsQueue(t, c, nil, o), 10, natsLongLease)
	require.NoError(t, leaver.Ack(t.Context(), natsReceipts(natsFetch(t, leaver, natsPatience, 1))))
	require.NoError(t, leaver.Close(t.Context()))
	leaver = natsJoinFor(t, natsQueue(t, c, nil, o), 10, natsLongLease)
	require.Empty(t, natsFetch(t, leaver, 500*time.Millisecond, 1))
	require.NoError(t, leaver.Close(t.Context()))
	require.NoError(t, q.Publish(t.Context(), "t", natsNumbered(1, 2), 0))
	require.Len(t, natsFetch(t, natsJoinFor(t, q, 10, natsLongLease), natsSoon, 1), 1)
}

// A consumer that comes back too late does not give up a partition that is another one's by then.
func TestNATSQueueLateLeaveOfAPartition(t *testing.T) {
	t.Parallel()
	c := natsserver.Start(t, 1)
	o := &natspubsub.QueueOptions{Partitions: 1}
	q := natsQueue(t, c, nil, o)
	links := c.Links(t)
	late := natsJoin(t, natsQueue(t, c, links, o), 1)
	require.NoError(t, q.Publish(t.Context(), "t", natsKeyed(2), 0))
	require.Len(t, natsFetch(t, late, natsPatience, 1), 1)
	links.Set(faultproxy.Faults{BlackholeUp: true, BlackholeDown: true})
	owner := natsJoin(t, natsQueue(t, c, nil, o), 1)
	require.Len(t, natsFetch(t, owner, natsPatience, 1), 1)
	pinned := func() string {
		i, err := natsStream(t, c.Dial(t)).Consumer(t.Context(), "queue_t", "g=0")
		require.NoError(t, err)
		groups := i.CachedInfo().PriorityGroups
		require.Len(t, groups, 1)
		return groups[0].PinnedClientID
	}
	pin := pinned()
	require.NotEmpty(t, pin)
	links.Heal()
	late.Close(t.Context())
	require.Equal(t, pin, pinned())
}

// What a consumer has that dies keeps its order, whenever its leases end: that of the first message is the last one to end here.
func TestNATSQueueOrderAfterDeath(t *testing.T) {
	t.Parallel()
	const latency = 200 * time.Millisecond
	c := natsserver.Start(t, 1)
	o := &natspubsub.QueueOptions{Partitions: 1}
	q := natsQueue(t, c, nil, o)
	links := c.Links(t)
	victim := natsJoin(t, natsQueue(t, c, links, o), 10)
	ms := natsKeyed(3)
	require.NoError(t, q.Publish(t.Context(), "t", ms[:1], 0))
	first := natsFetch(t, victim, natsPatience, 1)
	require.Len(t, first, 1)
	come := make(chan []pubsub.Received, 1)
	go func() { // one is handed on, the other one waits here
		rs, _ := victim.Fetch(t.Context(), 2)
		come <- rs
	}()
	time.Sleep(200 * time.Millisecond) // until the server knows of the request
	links.Set(faultproxy.Faults{Latency: latency})
	require.NoError(t, q.Publish(t.Context(), "t", ms[1:], 0))
	kept, err := victim.Extend(t.Context(), natsReceipts(first))
	require.NoError(t, err)
	require.Equal(t, []bool{true}, kept)
	require.NotEmpty(t, <-come)
	time.Sleep(latency + latency/2) // what was sent arrives
	links.Set(faultproxy.Faults{BlackholeUp: true, BlackholeDown: true})
	heir := natsJoin(t, natsQueue(t, c, nil, o), 10)
	var got []pubsub.Received
	for patience := natsShort(t, natsPatience); len(got) < 3; {
		rs, err := heir.Fetch(patience, 1)
		require.NoError(t, err)
		got = append(got, rs...)
	}
	require.Equal(t, []string{"0", "1", "2"}, natsIDs(got))
	links.Heal() // or closing takes long
}

// A partition whose consumer has gone is no matter to the others.
func TestNATSQueuePartitionGone(t *testing.T) {
	t.Parallel()
	c := natsserver.Start(t, 1)
	o := &natspubsub.QueueOptions{Partitions: 4}
	q := natsQueue(t, c, nil, o)
	qc := natsJoin(t, q, 20)
	require.NoError(t, q.Publish(t.Context(), "t", natsNumbered(0, 20), 0))
	had := natsFetch(t, qc, natsPatience, 20)
	require.Len(t, had, 20)
	gone := had[0].Partition
	require.NoError(t, natsStream(t, c.Dial(t)).DeleteConsumer(t.Context(), "queue_t", fmt.Sprintf("g=%d", gone)))
	kept, err := qc.Extend(t.Context(), natsReceipts(had))
	require.Error(t, err)
	require.Len(t, kept, len(had))
	others := 0
	for i, r := range had {
		require.Equal(t, r.Partition != gone, kept[i], "partition %d", r.Partition)
		if r.Partition != gone {
			others++
		}
	}
	require.Positive(t, others)
	var left *pubsub.UnsettledError
	require.ErrorAs(t, qc.Ack(t.Context(), natsReceipts(had)), &left)
	require.Len(t, left.Receipts, len(had)-others)
	s, err := q.Stats(t.Context(), "t", "g")
	require.NoError(t, err)
	require.Equal(t, 20-others, s.Waiting+s.Pending, "those of others are settled")
}

func TestNATSQueueBlackHole(t *testing.T) {
	t.Parallel()
	c := natsserver.Start(t, 1)
	links := c.Links(t)
	lost := natsJoin(t, natsQueue(t, c, links, nil), 10)
	other := natsJoin(t, natsQueue(t, c, nil, nil), 10)
	q := natsQueue(t, c, nil, nil)
	require.NoError(t, q.Publish(t.Context(), "t", natsNumbered(0, 3), 0))
	had := natsFetch(t, lost, natsPatience, 3)
	require.Len(t, had, 3)
	links.Set(faultproxy.Faults{BlackholeUp: true})
	_, err := lost.Extend(natsShort(t, 300*time.Millisecond), natsReceipts(had)) // it arrives when the hole ends
	require.Error(t, err)
	got := natsFetch(t, other, natsPatience, 3)
	require.Len(t, got, 3)
	require.Greater(t, got[0].Token, had[2].Token)
	links.Heal()
	kept, err := lost.Extend(t.Context(), natsReceipts(had))
	require.NoError(t, err)
	require.Equal(t, []bool{false, false, false}, kept)
	require.NoError(t, lost.Release(t.Context(), natsReceipts(had)), "what is not its own is left alone")
	require.False(t, buries(t, lost, had[0], pubsub.DeadLetter{Message: had[0].Message, Group: "g"}))
	ds, err := q.Dead(t.Context(), "t", "g", "", 10)
	require.NoError(t, err)
	require.Empty(t, ds, "whoever has it decides")
	kept, err = other.Extend(t.Context(), natsReceipts(got))
	require.NoError(t, err)
	require.Equal(t, []bool{true, true, true}, kept)
	require.NoError(t, other.Ack(t.Context(), natsReceipts(got)))
	// A message that was held on its way for longer than its lease is not handled.
	require.NoError(t, q.Publish(t.Context(), "t", natsNumbered(3, 4), 0))
	links.Set(faultproxy.Faults{BlackholeDown: true})
	late := make(chan []pubsub.Received, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 3*natsLease)
	defer cancel()
	go func() {
		rs, _ := lost.Fetch(ctx, 1)
		late <- rs
	}()
	require.Eventually(t, func() bool {
		s, err := q.Stats(t.Context(), "t", "g")
		return err == nil && s.Pending == 1
	}, natsPatience, 10*time.Millisecond)
	time.Sleep(natsLease + 200*time.Millisecond)
	links.Heal()
	for _, r := range append(<-late, natsFetch(t, other, natsPatience, 1)...) {
		require.Greater(t, r.Delivered, 1)
	}
}

func TestNATSQueueDeletedUnderIt(t *testing.T) {
	t.Parallel()
	for _, partitions := range []int{0, 2} {
		t.Run(fmt.Sprint(partitions), func(t *testing.T) {
			t.Parallel()
			c := natsserver.Start(t, 1)
			q := natsQueue(t, c, nil, &natspubsub.QueueOptions{Partitions: partitions})
			qc := natsJoin(t, q, 10)
			js := natsStream(t, c.Dial(t))
			require.NoError(t, q.Publish(t.Context(), "t", natsNumbered(0, 2), 0))
			had := natsFetch(t, qc, natsPatience, 2)
			require.Len(t, had, 2)
			s, err := js.Stream(t.Context(), "queue_t")
			require.NoError(t, err)
			for name := range s.ConsumerNames(t.Context()).Name() {
				require.NoError(t, s.DeleteConsumer(t.Context(), name))
			}
			again := natsFetch(t, qc, natsPatience, 2)
			require.Len(t, again, 2, "a group that was deleted is made again, and gets what is kept")
			require.Greater(t, again[0].Token, had[1].Token)
			kept, err := qc.Extend(t.Context(), natsReceipts(had))
			require.NoError(t, err)
			require.Equal(t, []bool{false, false}, kept, "receipts of a group that was deleted are worth nothing")
			require.NoError(t, qc.Ack(t.Context(), natsReceipts(again)))
			require.NoError(t, js.DeleteStream(t.Context(), "queue_t"))
			require.NoError(t, q.Publish(t.Context(), "t", natsNumbered(0, 2), 0), "a stream that was deleted is made again")
			require.Len(t, natsFetch(t, qc, natsPatience, 2), 2)
		})
	}
}

func TestNATSQueueSettingsAreChecked(t *testing.T) {
	t.Parallel()
	c := natsserver.Start(t, 1)
	js := natsStream(t, c.Dial(t))
	cfg, err := natspubsub.StreamConfig("mine", nil)
	require.NoError(t, err)
	_, err = js.CreateStream(t.Context(), cfg)
	require.NoError(t, err)
	q := natsQueue(t, c, nil, nil)
	require.NoError(t, q.Publish(t.Context(), "mine", natsNumbered(0, 1), 0), "a stream made by StreamConfig will do")
	cfg, err = natspubsub.DeadStreamConfig("mine", nil)
	require.NoError(t, err)
	_, err = js.CreateStream(t.Context(), cfg)
	require.NoError(t, err)
	_, err = q.Dead(t.Context(), "mine", "g", "", 1)
	require.NoError(t, err)

	cfg, err = natspubsub.StreamConfig("wrong", nil)
	require.NoError(t, err)
	cfg.Retention, cfg.NoAck = jetstream.InterestPolicy, true
	_, err = js.CreateStream(t.Context(), cfg)
	require.NoError(t, err)
	err = q.Publish(t.Context(), "wrong", natsNumbered(0, 1), 0)
	require.ErrorIs(t, err, pubsub.ErrInvalid)
	require.ErrorContains(t, err, `stream "queue_wrong" has retention`)
	require.ErrorContains(t, err, `stream "queue_wrong" has no_ack`)

	natsJoin(t, q, 1)
	s, err := js.Stream(t.Context(), "queue_t")
	require.NoError(t, err)
	long := natsLease * 2
	_, err = natsQueue(t, c, nil, nil).Join(t.Context(), "t", "g", pubsub.JoinOptions{Prefetch: 1, Lease: long})
	require.NoError(t, err)
	i, err := s.Consumer(t.Context(), "g")
	require.NoError(t, err)
	require.Equal(t, long, i.CachedInfo().Config.AckWait, "the longest lease is the group's")
	_, err = natsQueue(t, c, nil, &natspubsub.QueueOptions{Partitions: 4}).Join(t.Context(), "t", "g", pubsub.JoinOptions{Prefetch: 1, Lease: long})
	require.ErrorContains(t, err, "metadata concord.partitions")

	old := natsQueue(t, c, nil, &natspubsub.QueueOptions{Prefix: "old", MaxAge: time.Hour})
	require.ErrorIs(t, old.Publish(t.Context(), "t", natsNumbered(0, 1), time.Hour), pubsub.ErrUnsupported, "it would be removed before it is due")
	cfg, err = natspubsub.StreamConfig("plain", nil)
	require.NoError(t, err)
	cfg.AllowMsgSchedules = false
	_, err = js.CreateStream(t.Context(), cfg)
	require.NoError(t, err)
	require.ErrorIs(t, q.Publish(t.Context(), "plain", natsNumbered(0, 1), time.Second), pubsub.ErrUnsupported)
}

// A handler that takes several leases runs once, also while others look for work.
func TestNATSQueueLongHandler(t *testing.T) {
	t.Parallel()
	c := natsserver.Start(t, 1)
	var mu sync.Mutex
	runs := 0
	done := make(chan struct{}, 10)
	for range 2 {
		qc, err := pubsub.NewQueue(natsQueue(t, c, nil, nil), nil).Consume(t.Context(), "t", "g", func(context.Context, *pubsub.Delivery) error {
			mu.Lock()
			runs++
			mu.Unlock()
			time.Sleep(3 * natsLease)
			done <- struct{}{}
			return nil
		}, &pubsub.ConsumeOptions{Lease: natsLease})
		require.NoError(t, err)
		t.Cleanup(func() { qc.Drain(context.Background()) })
	}
	require.NoError(t, natsQueue(t, c, nil, nil).Publish(t.Context(), "t", natsNumbered(0, 1), 0))
	<-done
	time.Sleep(natsLease / 2)
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, 1, runs)
}

// A letter is made once, whatever was lost, and also when a Bury that was sent before comes after its redrive.
func TestNATSQueueBuryAnswerLost(t *testing.T) {
	t.Parallel()
	c := natsserver.Start(t, 1)
	links := c.Links(t)
	qc := natsJoin(t, natsQueue(t, c, links, nil), 10)
	q := natsQueue(t, c, nil, nil)
	require.NoError(t, q.Publish(t.Context(), "t", natsNumbered(0, 1), 0))
	got := natsFetch(t, qc, natsPatience, 1)
	require.Len(t, got, 1)
	d := pubsub.DeadLetter{Message: got[0].Message, Group: "g", Attempts: 1, Error: "bad"}
	// The stream of letters is there, so that only the answer to the letter is lost.
	cfg, err := natspubsub.DeadStreamConfig("t", nil)
	require.NoError(t, err)
	_, err = natsStream(t, c.Dial(t)).CreateStream(t.Context(), cfg)
	require.NoError(t, err)
	require.True(t, buries(t, qc, got[0], d))
	require.NoError(t, q.Publish(t.Context(), "t", natsNumbered(1, 2), 0))
	got = natsFetch(t, qc, natsPatience, 1)
	require.Len(t, got, 1)
	d.Message = got[0].Message
	links.Set(faultproxy.Faults{BlackholeDown: true})
	_, err = qc.Bury(natsShort(t, 300*time.Millisecond), got[0].Receipt, d)
	require.Error(t, err)
	letters, err := q.Dead(t.Context(), "t", "g", "", 10)
	require.NoError(t, err)
	require.Len(t, letters, 2, "only the answer was lost, or the test proves nothing")
	there, err := q.Redrive(t.Context(), letters[1])
	require.NoError(t, err)
	require.True(t, there)
	links.Heal()
	require.False(t, buries(t, qc, got[0], d), "it was made by then")
	letters, err = q.Dead(t.Context(), "t", "g", "", 10)
	require.NoError(t, err)
	require.Len(t, letters, 1)
	again := natsFetch(t, qc, natsPatience, 1)
	require.Len(t, again, 1, "what was redriven")
	require.Equal(t, 1, again[0].Delivered)
	require.NoError(t, qc.Ack(t.Context(), natsReceipts(again)))
	require.Empty(t, natsFetch(t, qc, natsLease+natsLease/2, 1))
}

// What is delayed outlives the server.
func TestNATSQueueDelayOverRestart(t *testing.T) {
	t.Parallel()
	c := natsserver.Start(t, 1)
	q := natsQueue(t, c, nil, nil)
	qc := natsJoin(t, q, 10)
	begin := time.Now()
	require.NoError(t, q.Publish(t.Context(), "t", natsNumbered(0, 3), 2*time.Second))
	c.Restart(0)
	require.Len(t, natsFetch(t, qc, natsPatience, 3), 3)
	require.GreaterOrEqual(t, time.Since(begin), 2*time.Second)
}

// What is lost with a connection is not overtaken by what comes on the next one.
func TestNATSQueueOrderAfterReconnect(t *testing.T) {
	t.Parallel()
	c := natsserver.Start(t, 1)
	o := &natspubsub.QueueOptions{Partitions: 1}
	q := natsQueue(t, c, nil, o)
	links := c.Links(t)
	qc := natsJoin(t, natsQueue(t, c, links, o), 10)
	ms := natsKeyed(3)
	require.NoError(t, q.Publish(t.Context(), "t", ms[:1], 0))
	got := natsFetch(t, qc, natsPatience, 1) // it has the partition
	require.Len(t, got, 1)
	require.NoError(t, qc.Ack(t.Context(), natsReceipts(got)))
	come := make(chan pubsub.Received, 10)
	ctx, cancel := context.WithCancel(t.Context())
	var fetching sync.WaitGroup
	defer fetching.Wait()
	defer cancel()
	fetching.Go(func() {
		for {
			rs, err := qc.Fetch(ctx, 10)
			if err != nil {
				return
			}
			for _, r := range rs {
				come <- r
			}
		}
	})
	time.Sleep(200 * time.Millisecond) // until the server knows of a request
	links.Set(faultproxy.Faults{BlackholeDown: true})
	require.NoError(t, q.Publish(t.Context(), "t", ms[1:2], 0))
	require.Eventually(t, func() bool {
		s, err := q.Stats(t.Context(), "t", "g")
		return err == nil && s.Pending == 1
	}, natsPatience, 5*time.Millisecond)
	links.ResetAll()
	links.Heal()
	time.Sleep(200 * time.Millisecond)
	require.NoError(t, q.Publish(t.Context(), "t", ms[2:], 0))
	for _, want := range []string{"1", "2"} {
		select {
		case r := <-come:
			require.Equal(t, want, r.ID)
			require.NoError(t, qc.Ack(t.Context(), []pubsub.Receipt{r.Receipt}))
		case <-time.After(natsPatience):
			require.Fail(t, "nothing comes")
		}
	}
}
