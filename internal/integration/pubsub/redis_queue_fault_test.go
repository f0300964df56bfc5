package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/internal/integration/redisserver"
	"github.com/concordkit/concord/internal/integration/stores"
	"github.com/concordkit/concord/pubsub"
	"github.com/concordkit/concord/pubsub/redispubsub"
)

// redisQueuePatience is for what must happen, on a loaded machine too.
const redisQueuePatience = 20 * time.Second

// redisQueueLink returns a queue by way of a proxy.
func redisQueueLink(t *testing.T, s *redisserver.Server, o *redispubsub.QueueOptions, mod func(*redis.Options)) (*redispubsub.Queue, *faultproxy.Proxy) {
	p := s.Proxy(t)
	t.Cleanup(p.Heal)
	return redispubsub.NewQueue(s.DialThrough(t, p, mod), o), p
}

func redisQueueJoin(t *testing.T, q pubsub.QueueBackend, topic, group string, lease time.Duration) pubsub.QueueConsumer {
	t.Helper()
	c, err := q.Join(t.Context(), topic, group, pubsub.JoinOptions{Prefetch: 100, Lease: lease})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), redisQueuePatience)
		defer cancel()
		c.Close(ctx)
	})
	return c
}

func redisQueueNumbers(n int) []pubsub.Message {
	ms := make([]pubsub.Message, n)
	for i := range ms {
		ms[i] = pubsub.Message{ID: fmt.Sprint("id", i), Data: fmt.Append(nil, i)}
	}
	return ms
}

// redisQueueGets returns n messages that come within d.
func redisQueueGets(t *testing.T, c pubsub.QueueConsumer, d time.Duration, n int) (got []pubsub.Received) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	for len(got) < n {
		rs, err := c.Fetch(ctx, n-len(got))
		require.NoError(t, err, "%d of %d came", len(got), n)
		got = append(got, rs...)
	}
	return got
}

func redisQueueQuiet(t *testing.T, c pubsub.QueueConsumer, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	rs, err := c.Fetch(ctx, 1)
	require.Error(t, err, "nothing should come: %v", rs)
}

func redisQueueReceipts(rs []pubsub.Received) (out []pubsub.Receipt) {
	for _, r := range rs {
		out = append(out, r.Receipt)
	}
	return out
}

func redisQueueStats(t *testing.T, q pubsub.QueueBackend, topic, group string) pubsub.Stats {
	t.Helper()
	s, err := q.Stats(t.Context(), topic, group)
	require.NoError(t, err)
	return s
}

// unanswered runs f while the link of q carries requests and no answers, for at most a second.
func unanswered(t *testing.T, q pubsub.QueueBackend, p *faultproxy.Proxy, f func(ctx context.Context) error) {
	t.Helper()
	redisQueueStats(t, q, "other", "g") // a connection that is ready to use
	p.Set(faultproxy.Faults{BlackholeDown: true})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	require.Error(t, f(ctx), "without an answer there is no success")
	p.ResetAll()
	p.Heal()
}

// loadRedisQueueScripts uses each script once, so that the server does not ask for it when its answers are lost.
func loadRedisQueueScripts(t *testing.T, q pubsub.QueueBackend) {
	c := redisQueueJoin(t, q, "load", "g", time.Minute)
	require.NoError(t, q.Publish(t.Context(), "load", redisQueueNumbers(1), 0))
	m := redisQueueGets(t, c, redisQueuePatience, 1)[0]
	require.True(t, buries(t, c, m, pubsub.DeadLetter{Message: m.Message, Group: "g"}))
	ds, err := q.Dead(t.Context(), "load", "g", "", 1)
	require.NoError(t, err)
	_, err = q.Redrive(t.Context(), ds[0])
	require.NoError(t, err)
}

func TestRedisQueueLostAnswers(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t)
	for name, mod := range map[string]func(*redis.Options){"as it is": nil, "with deadlines": stores.Heedful} {
		t.Run(name, func(t *testing.T) {
			o := &redispubsub.QueueOptions{Prefix: pubsub.NewID()}
			q, p := redisQueueLink(t, s, o, mod)
			loadRedisQueueScripts(t, q)
			ms := []pubsub.Message{{ID: "1", Data: []byte("x")}, {ID: "2"}}
			unanswered(t, q, p, func(ctx context.Context) error { return q.Publish(ctx, "t", ms, 0) })
			require.Equal(t, 2, redisQueueStats(t, q, "t", "g").Waiting, "the request was carried out")
			require.NoError(t, q.Publish(t.Context(), "t", ms, 0))
			require.Equal(t, 2, redisQueueStats(t, q, "t", "g").Waiting, "the same IDs again are the same messages")

			c := redisQueueJoin(t, q, "t", "g", time.Minute)
			got := redisQueueGets(t, c, redisQueuePatience, 2)
			letter := pubsub.DeadLetter{Message: got[0].Message, Group: "g", Attempts: 1, Error: "bad"}
			unanswered(t, q, p, func(ctx context.Context) error {
				_, err := c.Bury(ctx, got[0].Receipt, letter)
				return err
			})
			require.False(t, buries(t, c, got[0], letter))
			ds, err := q.Dead(t.Context(), "t", "g", "", 10)
			require.NoError(t, err)
			require.Len(t, ds, 1, "a message is buried once")
			require.Equal(t, pubsub.Stats{Pending: 1, Dead: 1}, redisQueueStats(t, q, "t", "g"))

			unanswered(t, q, p, func(ctx context.Context) error { _, err := q.Redrive(ctx, ds[0]); return err })
			ok, err := q.Redrive(t.Context(), ds[0])
			require.NoError(t, err)
			require.False(t, ok)
			back := redisQueueGets(t, c, redisQueuePatience, 1)
			require.Equal(t, "1", back[0].ID)
			unanswered(t, q, p, func(ctx context.Context) error {
				return c.Ack(ctx, redisQueueReceipts([]pubsub.Received{back[0], got[1]}))
			})
			require.Equal(t, pubsub.Stats{}, redisQueueStats(t, q, "t", "g"))
		})
	}
}

// Answers to fetches are lost: what was in them comes again long before its lease ends, and with partitions each key
// stays in order.
func TestRedisQueueLostFetches(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t)
	for _, partitions := range []int{0, 3} {
		t.Run(fmt.Sprint(partitions), func(t *testing.T) {
			t.Parallel()
			o := &redispubsub.QueueOptions{Prefix: pubsub.NewID(), Partitions: partitions}
			direct := redispubsub.NewQueue(s.Dial(t, nil), o)
			q, p := redisQueueLink(t, s, o, nil)
			c := redisQueueJoin(t, q, "t", "g", time.Hour)
			const total = 400
			stop := make(chan struct{})
			var work sync.WaitGroup
			work.Go(func() {
				for i := range total {
					direct.Publish(t.Context(), "t", []pubsub.Message{{ID: fmt.Sprint(i), Key: fmt.Sprint(i % 5), Data: fmt.Append(nil, i)}}, 0)
					time.Sleep(2 * time.Millisecond)
				}
			})
			fetched := make(chan struct{}, 1) // since the last fault
			work.Go(func() {
				for {
					select {
					case <-stop:
						return
					case <-fetched:
						time.Sleep(30 * time.Millisecond)
						p.Set(faultproxy.Faults{BlackholeDown: true})
						time.Sleep(10 * time.Millisecond)
						p.ResetAll()
						p.Heal()
					}
				}
			})
			ctx, cancel := context.WithTimeout(t.Context(), 2*redisQueuePatience)
			defer cancel()
			last := map[string]int{}
			seen := map[string]bool{}
			repeats := 0
			for len(seen) < total {
				rs, err := c.Fetch(ctx, 20)
				require.NoError(t, err, "%d of %d came", len(seen), total)
				select {
				case fetched <- struct{}{}:
				default:
				}
				for _, r := range rs {
					var n int
					fmt.Sscan(string(r.Data), &n)
					require.False(t, seen[r.ID], "nothing that is here and not given back comes twice")
					if partitions > 0 {
						require.GreaterOrEqual(t, n, last[r.Key], "in the order of the key")
					}
					seen[r.ID], last[r.Key] = true, n
					if r.Delivered > 1 {
						repeats++
					}
				}
			}
			close(stop)
			work.Wait()
			p.Heal()
			require.Positive(t, repeats, "the faults must have hit fetches")
			require.Equal(t, total, redisQueueStats(t, direct, "t", "g").Pending)
		})
	}
}

// ledger knows what was acknowledged to publishers, and what handlers have got.
type ledger struct {
	mu            sync.Mutex
	acked, handed map[string]int
}

func newLedger() *ledger { return &ledger{acked: map[string]int{}, handed: map[string]int{}} }

func (l *ledger) add(to map[string]int, id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	to[id]++
}

// missing returns what was acknowledged and not handed out.
func (l *ledger) missing() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(l.acked)), func(id string) bool { return l.handed[id] > 0 })
}

func TestRedisQueueLedger(t *testing.T) {
	l := newLedger()
	l.add(l.acked, "a")
	l.add(l.acked, "b")
	l.add(l.handed, "b")
	l.add(l.handed, "c")
	require.Equal(t, []string{"a"}, l.missing(), "the checker must see a loss")
}

// storm publishes and consumes while befall does something to the server, several times.
func storm(t *testing.T, connect func() pubsub.QueueBackend, befall func()) *ledger {
	l := newLedger()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var handlers []*pubsub.Queue
	for range 2 {
		q := pubsub.NewQueue(connect(), nil)
		handlers = append(handlers, q)
		_, err := q.Consume(ctx, "t", "g", func(_ context.Context, d *pubsub.Delivery) error {
			l.add(l.handed, d.ID)
			return nil
		}, &pubsub.ConsumeOptions{Lease: redisQueueLease, Deliveries: 1000})
		require.NoError(t, err)
	}
	stop := make(chan struct{})
	var publishers sync.WaitGroup
	for p := range 3 {
		q := pubsub.NewQueue(connect(), nil)
		publishers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-time.After(2 * time.Millisecond):
				}
				ms := []pubsub.Message{{ID: fmt.Sprintf("%d-%d", p, i)}}
				for {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					err := q.Publish(ctx, "t", ms...)
					cancel()
					if err == nil {
						l.add(l.acked, ms[0].ID)
						break
					}
					select {
					case <-stop:
						return
					case <-time.After(20 * time.Millisecond):
					}
				}
			}
		})
	}
	for range 3 {
		time.Sleep(500 * time.Millisecond)
		befall()
	}
	time.Sleep(500 * time.Millisecond)
	close(stop)
	publishers.Wait()
	require.Greater(t, len(l.acked), 30, "the publishers must get something done")
	for begin := time.Now(); len(l.missing()) > 0 && time.Since(begin) < redisQueuePatience; {
		time.Sleep(50 * time.Millisecond)
	}
	for _, q := range handlers {
		require.NoError(t, q.Close(t.Context()))
	}
	return l
}

func TestRedisQueueServerRestarts(t *testing.T) {
	t.Parallel()
	for _, partitions := range []int{0, 3} {
		t.Run(fmt.Sprint(partitions), func(t *testing.T) {
			t.Parallel()
			s := redisserver.Start(t, "--appendonly", "yes", "--appendfsync", "always")
			o := &redispubsub.QueueOptions{Partitions: partitions}
			l := storm(t, func() pubsub.QueueBackend { return redispubsub.NewQueue(s.Dial(t, stores.Heedful), o) }, s.Restart)
			require.Empty(t, l.missing(), "nothing that was acknowledged is lost")
		})
	}
}

func TestRedisQueueServerPaused(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t)
	l := storm(t, func() pubsub.QueueBackend { return redispubsub.NewQueue(s.Dial(t, nil), nil) }, func() {
		s.Pause()
		time.Sleep(2 * redisQueueLease)
		s.Resume()
	})
	require.Empty(t, l.missing(), "nothing that was acknowledged is lost")
}

// A failover may lose what was acknowledged. Consumers and publishers go on after it.
func TestRedisQueueFailover(t *testing.T) {
	t.Parallel()
	redisserver.Require(t)
	r := redisserver.StartReplicated(t)
	l := newLedger()
	q := pubsub.NewQueue(redispubsub.NewQueue(r.Dial(t, nil), nil), nil)
	_, err := q.Consume(t.Context(), "t", "g", func(_ context.Context, d *pubsub.Delivery) error {
		l.add(l.handed, d.ID)
		return nil
	}, &pubsub.ConsumeOptions{Lease: redisQueueLease})
	require.NoError(t, err)
	other := pubsub.NewQueue(redispubsub.NewQueue(r.Dial(t, nil), nil), nil)
	info, err := redispubsub.NewQueue(r.Dial(t, nil), nil).Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, pubsub.Volatile, info.Durability)
	publish := func(id string) bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if other.Publish(ctx, "t", pubsub.Message{ID: id}) != nil {
			return false
		}
		l.add(l.acked, id)
		return true
	}
	for i := range 200 {
		if i == 100 {
			r.Master.Kill()
		}
		publish(fmt.Sprint(i))
		if i > 100 && l.acked["last"] > 0 {
			break
		}
	}
	require.Eventually(t, func() bool { return publish("last") }, 2*redisQueuePatience, 100*time.Millisecond)
	require.Eventually(t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.handed["last"] > 0
	}, redisQueuePatience, 50*time.Millisecond, "the consumer goes on at the new master")
	t.Logf("the failover has lost %d of %d acknowledged messages", len(l.missing()), len(l.acked))
	require.NoError(t, q.Close(t.Context()))
}

func TestRedisQueueConsumerDies(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t)
	for _, partitions := range []int{0, 3} {
		t.Run(fmt.Sprint(partitions), func(t *testing.T) {
			t.Parallel()
			o := &redispubsub.QueueOptions{Prefix: pubsub.NewID(), Partitions: partitions}
			direct := redispubsub.NewQueue(s.Dial(t, nil), o)
			q, p := redisQueueLink(t, s, o, stores.Heedful)
			dies := redisQueueJoin(t, q, "t", "g", redisQueueLease)
			require.NoError(t, direct.Publish(t.Context(), "t", redisQueueNumbers(100), 0))
			got := redisQueueGets(t, dies, redisQueuePatience, 100)
			died := time.Now()
			p.Set(faultproxy.Faults{BlackholeUp: true, BlackholeDown: true})
			other := redisQueueJoin(t, direct, "t", "g", redisQueueLease)
			rest := redisQueueGets(t, other, redisQueuePatience, 100)
			require.GreaterOrEqual(t, time.Since(got[0].Asked), redisQueueLease*9/10, "not before its lease has ended")
			require.Less(t, time.Since(died), 3*redisQueueLease+5*time.Second)
			tokens := map[string]uint64{}
			for _, r := range got {
				tokens[r.ID] = r.Token
			}
			for _, r := range rest {
				require.Equal(t, 2, r.Delivered)
				require.Greater(t, r.Token, tokens[r.ID])
			}
			require.NoError(t, other.Ack(t.Context(), redisQueueReceipts(rest)))
			p.Heal()
			kept, err := dies.Extend(t.Context(), redisQueueReceipts(got))
			require.NoError(t, err)
			require.NotContains(t, kept, true, "they are no longer its own")
			require.Equal(t, pubsub.Stats{}, redisQueueStats(t, direct, "t", "g"))
		})
	}
}

// A consumer that is cut off for longer than its lease hears that it has lost what it had, and goes on when it is back.
func TestRedisQueueBlackHole(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t)
	for name, mod := range map[string]func(*redis.Options){"as it is": nil, "with deadlines": stores.Heedful} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := &redispubsub.QueueOptions{Prefix: pubsub.NewID()}
			b, p := redisQueueLink(t, s, o, mod)
			cut, other := pubsub.NewQueue(b, nil), pubsub.NewQueue(redispubsub.NewQueue(s.Dial(t, nil), o), nil)
			begun, lost := make(chan string, 100), make(chan error, 100)
			options := &pubsub.ConsumeOptions{Lease: redisQueueLease}
			_, err := cut.Consume(t.Context(), "t", "g", func(ctx context.Context, d *pubsub.Delivery) error {
				begun <- d.ID
				if d.ID == "held" {
					<-ctx.Done()
					lost <- context.Cause(ctx)
				}
				return nil
			}, options)
			require.NoError(t, err)
			require.NoError(t, other.Publish(t.Context(), "t", pubsub.Message{ID: "held"}))
			require.Equal(t, "held", <-begun)
			p.Set(faultproxy.Faults{BlackholeUp: true, BlackholeDown: true})
			again := make(chan string, 100)
			c, err := other.Consume(t.Context(), "t", "g", func(_ context.Context, d *pubsub.Delivery) error {
				again <- d.ID
				return nil
			}, options)
			require.NoError(t, err)
			require.Equal(t, "held", receive(t, again))
			require.ErrorIs(t, receive(t, lost), pubsub.ErrLost)
			require.NoError(t, c.Drain(t.Context()))
			time.Sleep(2 * redisQueueLease)
			p.Heal()
			require.NoError(t, other.Publish(t.Context(), "t", pubsub.Message{ID: "after"}))
			require.Equal(t, "after", receive(t, begun), "it goes on")
			require.NoError(t, cut.Close(t.Context()))
			require.NoError(t, other.Close(t.Context()))
		})
	}
}

func receive[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(2 * redisQueuePatience):
		require.FailNow(t, "nothing comes")
		panic("unreachable")
	}
}

func TestRedisQueueLongHandlers(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t)
	for _, partitions := range []int{0, 3} {
		t.Run(fmt.Sprint(partitions), func(t *testing.T) {
			t.Parallel()
			o := &redispubsub.QueueOptions{Prefix: pubsub.NewID(), Partitions: partitions}
			var runs atomic.Int64
			var qs []*pubsub.Queue
			for range 2 {
				q := pubsub.NewQueue(redispubsub.NewQueue(s.Dial(t, nil), o), nil)
				qs = append(qs, q)
				_, err := q.Consume(t.Context(), "t", "g", func(ctx context.Context, d *pubsub.Delivery) error {
					runs.Add(1)
					select {
					case <-time.After(3 * redisQueueLease):
						return nil
					case <-ctx.Done():
						return context.Cause(ctx)
					}
				}, &pubsub.ConsumeOptions{Lease: redisQueueLease})
				require.NoError(t, err)
			}
			require.NoError(t, qs[0].Publish(t.Context(), "t", redisQueueNumbers(10)...))
			time.Sleep(3*redisQueueLease + time.Second)
			for _, q := range qs {
				require.NoError(t, q.Close(t.Context()))
			}
			require.EqualValues(t, 10, runs.Load(), "a message whose lease is extended is handled once")
			st, err := redispubsub.NewQueue(s.Dial(t, nil), o).Stats(t.Context(), "t", "g")
			require.NoError(t, err)
			require.Equal(t, pubsub.Stats{}, st)
		})
	}
}

func TestRedisQueueDataLost(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t)
	admin := s.Dial(t, nil)
	for _, partitions := range []int{0, 3} {
		t.Run(fmt.Sprint(partitions), func(t *testing.T) {
			prefix := fmt.Sprint("lost", partitions, ":")
			o := &redispubsub.QueueOptions{Prefix: prefix, Partitions: partitions}
			q := redispubsub.NewQueue(s.Dial(t, nil), o)
			c := redisQueueJoin(t, q, "t", "g", redisQueueLease)
			token := uint64(0)
			message := func(id string) []pubsub.Message { // in the partition that is destroyed
				m := pubsub.Message{ID: id, Key: "a"}
				for m.Partition(partitions) != 0 {
					m.Key += "a"
				}
				return []pubsub.Message{m}
			}
			for round, destroy := range []func() error{
				func() error { return admin.FlushAll(t.Context()).Err() },
				func() error { return admin.Del(t.Context(), prefix+"{t}").Err() },
				func() error { return admin.Del(t.Context(), prefix+"{t}:g:g").Err() },
				func() error { return admin.Del(t.Context(), prefix+"{t}:s:0").Err() },
				func() error { return admin.XGroupDestroy(t.Context(), prefix+"{t}:s:0", "g").Err() },
				func() error { return admin.ScriptFlush(t.Context()).Err() },
			} {
				require.NoError(t, q.Publish(t.Context(), "t", message(fmt.Sprint("before", round)), 0))
				got := redisQueueGets(t, c, redisQueuePatience, 1)
				require.NoError(t, destroy(), round)
				_, err := c.Extend(t.Context(), redisQueueReceipts(got))
				require.NoError(t, err, round)
				require.NoError(t, c.Ack(t.Context(), redisQueueReceipts(got)), round)
				id := fmt.Sprint("after", round)
				require.NoError(t, q.Publish(t.Context(), "t", message(id), 0), round)
				ctx, cancel := context.WithTimeout(t.Context(), redisQueuePatience)
				for found := false; !found; {
					rs, err := c.Fetch(ctx, 10) // a group that is made again begins with the oldest message
					require.NoError(t, err, round)
					for _, r := range rs {
						found = found || r.ID == id
						require.GreaterOrEqual(t, r.Token, token, round)
						token = max(token, r.Token)
					}
					require.NoError(t, c.Ack(ctx, redisQueueReceipts(rs)), round)
				}
				cancel()
				require.Equal(t, pubsub.Stats{}, redisQueueStats(t, q, "t", "g"), round)
			}
		})
	}
}

func TestRedisQueueKeepsWhatSomeGroupHasNotSettled(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t)
	rdb := s.Dial(t, nil)
	q := redispubsub.NewQueue(rdb, &redispubsub.QueueOptions{MaxLen: 1000})
	quick, slow := redisQueueJoin(t, q, "t", "quick", redisQueueLease), redisQueueJoin(t, q, "t", "slow", time.Hour)
	ms := redisQueueNumbers(1001)
	require.NoError(t, q.Publish(t.Context(), "t", ms[:1000], 0))
	require.ErrorIs(t, q.Publish(t.Context(), "t", ms[1000:], 0), pubsub.ErrFull)
	require.NoError(t, q.Publish(t.Context(), "t", ms[:1000], 0), "they are there already")
	require.NoError(t, quick.Ack(t.Context(), redisQueueReceipts(redisQueueGets(t, quick, redisQueuePatience, 1000))))
	held := redisQueueGets(t, slow, redisQueuePatience, 500)
	require.ErrorIs(t, q.Publish(t.Context(), "t", ms[1000:], 0), pubsub.ErrFull, "the other group has them still")
	require.NoError(t, slow.Ack(t.Context(), redisQueueReceipts(held[:400])))
	require.NoError(t, q.Publish(t.Context(), "t", ms[1000:], 0), "there is room for what no group needs")
	require.EqualValues(t, 601, rdb.XLen(t.Context(), "concord:queue:{t}:s:0").Val())
	require.Equal(t, pubsub.Stats{Waiting: 501, Pending: 100}, redisQueueStats(t, q, "t", "slow"))
	require.Equal(t, pubsub.Stats{Waiting: 1}, redisQueueStats(t, q, "t", "quick"))
	require.Equal(t, pubsub.Stats{Waiting: 601}, redisQueueStats(t, q, "t", "new"))

	rest := redisQueueGets(t, slow, redisQueuePatience, 501)
	require.NoError(t, slow.Ack(t.Context(), redisQueueReceipts(append(rest, held...))))
	require.NoError(t, quick.Ack(t.Context(), redisQueueReceipts(redisQueueGets(t, quick, redisQueuePatience, 1))))
	redisQueueQuiet(t, quick, time.Second)
	require.Less(t, rdb.XLen(t.Context(), "concord:queue:{t}:s:0").Val(), int64(120), "consumers trim by themselves")
}

func TestRedisQueueMaxAge(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t)
	q := redispubsub.NewQueue(s.Dial(t, nil), &redispubsub.QueueOptions{MaxLen: 200, MaxAge: time.Second})
	c := redisQueueJoin(t, q, "t", "g", 200*time.Millisecond)
	require.NoError(t, q.Publish(t.Context(), "t", redisQueueNumbers(200), 0))
	redisQueueGets(t, c, redisQueuePatience, 50)
	time.Sleep(1100 * time.Millisecond)
	require.NoError(t, q.Publish(t.Context(), "t", []pubsub.Message{{ID: "new"}}, 0))
	got := redisQueueGets(t, c, redisQueuePatience, 1)
	require.Equal(t, "new", got[0].ID, "the old ones are gone, those that were handed out too")
	require.NoError(t, c.Ack(t.Context(), redisQueueReceipts(got)))
	redisQueueQuiet(t, c, 500*time.Millisecond)
	require.Equal(t, pubsub.Stats{}, redisQueueStats(t, q, "t", "g"))
}

func TestRedisQueueFullServer(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t)
	rdb := s.Dial(t, nil)
	for _, partitions := range []int{0, 3} {
		q := redispubsub.NewQueue(rdb, &redispubsub.QueueOptions{Prefix: fmt.Sprint(partitions), Partitions: partitions})
		c := redisQueueJoin(t, q, "t", "g", redisQueueLease)
		require.NoError(t, q.Publish(t.Context(), "t", redisQueueNumbers(20), 0))
		require.NoError(t, q.Publish(t.Context(), "t", []pubsub.Message{{ID: "late"}}, 50*time.Millisecond))
		require.NoError(t, rdb.ConfigSet(t.Context(), "maxmemory", "1").Err())
		require.Error(t, q.Publish(t.Context(), "t", []pubsub.Message{{ID: "more"}}, 0))
		got := redisQueueGets(t, c, redisQueuePatience, 21)
		require.True(t, buries(t, c, got[0], pubsub.DeadLetter{Message: got[0].Message, Group: "g"}))
		require.NoError(t, c.Release(t.Context(), redisQueueReceipts(got[1:2])))
		require.NoError(t, c.Ack(t.Context(), redisQueueReceipts(redisQueueGets(t, c, redisQueuePatience, 1))))
		require.NoError(t, c.Ack(t.Context(), redisQueueReceipts(got[2:])))
		require.Equal(t, pubsub.Stats{Dead: 1}, redisQueueStats(t, q, "t", "g"))
		require.NoError(t, rdb.ConfigSet(t.Context(), "maxmemory", "0").Err())
		require.NoError(t, q.Publish(t.Context(), "t", []pubsub.Message{{ID: "more"}}, 0), "what was refused is not remembered")
		redisQueueGets(t, c, redisQueuePatience, 1)
	}
}

// Consumers of a group may have leases of different lengths: each message has that of whoever has it.
func TestRedisQueueLeasesDiffer(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t)
	q := redispubsub.NewQueue(s.Dial(t, nil), nil)
	long, short := redisQueueJoin(t, q, "t", "g", time.Hour), redisQueueJoin(t, q, "t", "g", 200*time.Millisecond)
	require.NoError(t, q.Publish(t.Context(), "t", redisQueueNumbers(1), 0))
	redisQueueGets(t, long, redisQueuePatience, 1)
	redisQueueQuiet(t, short, time.Second)
	require.NoError(t, q.Publish(t.Context(), "t", []pubsub.Message{{ID: "x"}}, 0))
	redisQueueGets(t, short, redisQueuePatience, 1)
	redisQueueGets(t, long, redisQueuePatience, 1)
}

func TestRedisQueueForgetsConsumers(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t)
	rdb := s.Dial(t, nil)
	q := redispubsub.NewQueue(rdb, nil)
	for i := range 5 {
		c := redisQueueJoin(t, q, "t", "g", redisQueueLease)
		require.NoError(t, q.Publish(t.Context(), "t", []pubsub.Message{{ID: fmt.Sprint(i)}}, 0))
		redisQueueGets(t, c, redisQueuePatience, 1)
		require.NoError(t, c.Close(t.Context()))
		require.NoError(t, c.Close(t.Context()))
		_, err := c.Fetch(t.Context(), 1)
		require.ErrorIs(t, err, pubsub.ErrClosed)
	}
	cs, err := rdb.XInfoConsumers(t.Context(), "concord:queue:{t}:s:0", "g").Result()
	require.NoError(t, err)
	require.Len(t, cs, 1, "only what is given back has a name")
	require.EqualValues(t, 1, cs[0].Pending)
}

// IDs are remembered for the window after each, and not for much longer, whether messages go on or stop.
func TestRedisQueueForgetsIDs(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t)
	rdb := s.Dial(t, nil)
	const window, ids = 500 * time.Millisecond, "concord:queue:{t}:ids"
	q := redispubsub.NewQueue(rdb, &redispubsub.QueueOptions{DedupeWindow: window})
	total := int64(0)
	for begin := time.Now(); time.Since(begin) < 6*window || total < 5000; total++ {
		require.NoError(t, q.Publish(t.Context(), "t", []pubsub.Message{{ID: fmt.Sprint(total)}}, 0))
		if total%100 == 0 {
			require.GreaterOrEqual(t, rdb.PTTL(t.Context(), ids).Val(), window-100*time.Millisecond)
		}
	}
	now, err := rdb.Time(t.Context()).Result()
	require.NoError(t, err)
	recent, err := rdb.ZCount(t.Context(), ids, fmt.Sprint(now.Add(-window).UnixMicro()), "+inf").Result()
	require.NoError(t, err)
	require.Less(t, rdb.ZCard(t.Context(), ids).Val(), recent+500)
	require.Greater(t, total, recent+1000, "or the test proves nothing")
	last := []pubsub.Message{{ID: fmt.Sprint(total - 1)}}
	require.NoError(t, q.Publish(t.Context(), "t", last, 0))
	require.EqualValues(t, total, redisQueueStats(t, q, "t", "g").Waiting, "it is there already")
	time.Sleep(3*window + time.Second)
	require.Zero(t, rdb.Exists(t.Context(), ids).Val())
	require.NoError(t, q.Publish(t.Context(), "t", last, 0))
	require.EqualValues(t, total+1, redisQueueStats(t, q, "t", "g").Waiting)
}

func TestRedisQueueChecksPartitions(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t)
	four := redispubsub.NewQueue(s.Dial(t, nil), &redispubsub.QueueOptions{Partitions: 4})
	none := redispubsub.NewQueue(s.Dial(t, nil), nil)
	require.NoError(t, four.Publish(t.Context(), "t", redisQueueNumbers(1), 0))
	require.ErrorIs(t, none.Publish(t.Context(), "t", redisQueueNumbers(1), 0), pubsub.ErrInvalid)
	_, err := none.Join(t.Context(), "t", "g", pubsub.JoinOptions{Prefetch: 1, Lease: time.Second})
	require.ErrorIs(t, err, pubsub.ErrInvalid)
	_, err = none.Stats(t.Context(), "t", "g")
	require.ErrorIs(t, err, pubsub.ErrInvalid)
}

// A newcomer gets its share of partitions from owners that are never idle, and what one consumer is handling is not handed to the
// next one.
func TestRedisQueuePartitionsMove(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t)
	q := redispubsub.NewQueue(s.Dial(t, nil), &redispubsub.QueueOptions{Partitions: 5})
	stop := make(chan struct{})
	var work sync.WaitGroup
	var sent atomic.Int64
	work.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
			if q.Publish(context.Background(), "t", []pubsub.Message{{ID: fmt.Sprint(i), Key: fmt.Sprint(i % 40), Data: fmt.Append(nil, i)}}, 0) == nil {
				sent.Add(1)
			}
		}
	})
	type handling struct {
		consumer int
		token    uint64
	}
	var mu sync.Mutex
	busy := map[string]bool{}
	last := map[string]int{}
	owners := map[int]handling{}
	var wrong []string
	var handled atomic.Int64
	parts := func(since map[int]handling) map[int]int {
		n := map[int]int{}
		for _, h := range since {
			n[h.consumer]++
		}
		return n
	}
	var fronts []*pubsub.Queue
	for i := range 3 {
		front := pubsub.NewQueue(redispubsub.NewQueue(s.Dial(t, nil), &redispubsub.QueueOptions{Partitions: 5}), nil)
		fronts = append(fronts, front)
		_, err := front.Consume(t.Context(), "t", "g", func(_ context.Context, d *pubsub.Delivery) error {
			var n int
			fmt.Sscan(string(d.Data), &n)
			mu.Lock()
			if busy[d.Key] || n <= last[d.Key] && last[d.Key] > 0 {
				wrong = append(wrong, fmt.Sprintf("key %s: %d after %d, busy: %v", d.Key, n, last[d.Key], busy[d.Key]))
			}
			if o, ok := owners[d.Partition]; ok && o.consumer != i && d.Token <= o.token {
				wrong = append(wrong, fmt.Sprintf("partition %d: token %d after %d", d.Partition, d.Token, o.token))
			}
			busy[d.Key], last[d.Key], owners[d.Partition] = true, n, handling{i, d.Token}
			mu.Unlock()
			time.Sleep(5 * time.Millisecond)
			mu.Lock()
			busy[d.Key] = false
			mu.Unlock()
			handled.Add(1)
			return nil
		}, &pubsub.ConsumeOptions{Lease: 2 * redisQueueLease, Concurrency: 20})
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			mu.Lock()
			defer mu.Unlock()
			n := parts(owners)
			return len(n) == i+1 && slices.Max(slices.Collect(maps.Values(n))) <= (5+i)/(i+1)
		}, redisQueuePatience, 20*time.Millisecond, "a newcomer must get its share")
	}
	require.NoError(t, fronts[0].Close(t.Context()))
	mu.Lock()
	clear(owners)
	mu.Unlock()
	require.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(owners) == 5
	}, redisQueuePatience, 20*time.Millisecond, "the others take over")
	close(stop)
	work.Wait()
	require.Eventually(t, func() bool { return handled.Load() >= sent.Load() }, redisQueuePatience, 20*time.Millisecond)
	for _, f := range fronts[1:] {
		require.NoError(t, f.Close(t.Context()))
	}
	require.Empty(t, wrong)
	require.Equal(t, sent.Load(), handled.Load(), "each was handled once")
}

func TestRedisQueueUserMayNot(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t)
	admin := s.Dial(t, nil)
	q := redispubsub.NewQueue(s.Dial(t, nil), nil)
	c := redisQueueJoin(t, q, "t", "g", redisQueueLease)
	require.NoError(t, admin.Do(t.Context(), "ACL", "SETUSER", "default", "-xreadgroup").Err())
	ctx, cancel := context.WithTimeout(t.Context(), redisQueuePatience)
	defer cancel()
	_, err := c.Fetch(ctx, 1)
	require.Error(t, err)
	require.False(t, errors.Is(err, context.DeadlineExceeded), "what will not pass is reported at once: %v", err)
}
