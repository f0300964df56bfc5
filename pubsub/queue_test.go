package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/pubsub"
	"github.com/concordkit/concord/pubsub/mempubsub"
)

var errBad = errors.New("bad")

// queueBubble runs fn under synctest with a queue in memory, whose backend may be told to fail.
func queueBubble(t *testing.T, fn func(t *testing.T, q *pubsub.Queue, b *shaky)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &shaky{QueueBackend: mempubsub.NewQueue(nil)}
		fn(t, pubsub.NewQueue(b, nil), b)
	})
}

// shaky is a backend whose consumers can be cut off: then nothing passes, and calls wait for their contexts.
type shaky struct {
	pubsub.QueueBackend
	down       atomic.Bool
	dry        atomic.Bool  // nothing is handed out
	lostAcks   atomic.Int64 // how many acks arrive without an answer
	lostBuries atomic.Int64 // and dead letters
	late       atomic.Int64 // for how many nanoseconds what is handed out was on its way
	robbed     atomic.Bool  // no lease is extended
	asked      record       // for how many messages
	buried     atomic.Int64
}

var errAway = errors.New("no route")

func (s *shaky) pass(ctx context.Context) error {
	if !s.down.Load() {
		return nil
	}
	<-ctx.Done()
	return errAway
}

func (s *shaky) Join(ctx context.Context, topic, group string, o pubsub.JoinOptions) (pubsub.QueueConsumer, error) {
	c, err := s.QueueBackend.Join(ctx, topic, group, o)
	return &shakyConsumer{c, s}, err
}

type shakyConsumer struct {
	pubsub.QueueConsumer
	s *shaky
}

func (c *shakyConsumer) Fetch(ctx context.Context, n int) ([]pubsub.Received, error) {
	c.s.asked.add(strconv.Itoa(n))
	for c.s.down.Load() || c.s.dry.Load() {
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, errAway
		}
	}
	rs, err := c.QueueConsumer.Fetch(ctx, n)
	for i := range rs {
		rs[i].Asked = rs[i].Asked.Add(-time.Duration(c.s.late.Load()))
	}
	return rs, err
}

func (c *shakyConsumer) Ack(ctx context.Context, rs []pubsub.Receipt) error {
	if err := c.s.pass(ctx); err != nil {
		return err
	}
	err := c.QueueConsumer.Ack(ctx, rs)
	if c.s.lostAcks.Add(-1) >= 0 {
		return errAway
	}
	return err
}

func (c *shakyConsumer) Extend(ctx context.Context, rs []pubsub.Receipt) ([]bool, error) {
	if err := c.s.pass(ctx); err != nil {
		return nil, err
	}
	if c.s.robbed.Load() {
		return make([]bool, len(rs)), nil
	}
	return c.QueueConsumer.Extend(ctx, rs)
}

func (c *shakyConsumer) Bury(ctx context.Context, r pubsub.Receipt, d pubsub.DeadLetter) (bool, error) {
	if err := c.s.pass(ctx); err != nil {
		return false, err
	}
	c.s.buried.Add(1)
	buried, err := c.QueueConsumer.Bury(ctx, r, d)
	if c.s.lostBuries.Add(-1) >= 0 {
		return false, errAway
	}
	return buried, err
}

func (c *shakyConsumer) Release(ctx context.Context, rs []pubsub.Receipt) error {
	if err := c.s.pass(ctx); err != nil {
		return err
	}
	return c.QueueConsumer.Release(ctx, rs)
}

func consume(t *testing.T, q *pubsub.Queue, h pubsub.Handler, o *pubsub.ConsumeOptions) *pubsub.Consumer {
	t.Helper()
	c, err := q.Consume(t.Context(), "t", "g", h, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Drain(context.Background())) })
	return c
}

func put(t *testing.T, q *pubsub.Queue, ms ...pubsub.Message) {
	t.Helper()
	require.NoError(t, q.Publish(t.Context(), "t", ms...))
}

func msg(key, data string) pubsub.Message { return pubsub.Message{Key: key, Data: []byte(data)} }

// pass lets time pass, and what it brings happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// record keeps what handlers have seen.
type record struct {
	mu  sync.Mutex
	got []string
}

func (r *record) add(s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, s)
}

func (r *record) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string{}, r.got...)
}

func letters(t *testing.T, q *pubsub.Queue) (ds []pubsub.DeadLetter) {
	t.Helper()
	for d, err := range q.DeadLetters(t.Context(), "t", "g") {
		require.NoError(t, err)
		ds = append(ds, d)
	}
	return ds
}

func TestHandled(t *testing.T) {
	queueBubble(t, func(t *testing.T, q *pubsub.Queue, _ *shaky) {
		put(t, q, msg("k", "1"), msg("k", "2"))
		var r record
		c := consume(t, q, func(_ context.Context, d *pubsub.Delivery) error {
			require.Equal(t, "t", d.Topic)
			require.Equal(t, "g", d.Group)
			require.Equal(t, 1, d.Attempt)
			require.NotZero(t, d.Token)
			require.NotEmpty(t, d.ID)
			r.add(string(d.Data))
			return nil
		}, nil)
		put(t, q, msg("k", "3"))
		synctest.Wait()
		require.Equal(t, []string{"1", "2", "3"}, r.all())
		pass(time.Millisecond) // an ack waits for others
		s, err := q.Stats(t.Context(), "t", "g")
		require.NoError(t, err)
		require.Equal(t, pubsub.Stats{}, s)
		require.NoError(t, c.Err())
		require.NoError(t, c.Drain(t.Context()))
		require.ErrorIs(t, c.Err(), pubsub.ErrClosed)
	})
}

// A poison message is tried as often as stated, after the stated pauses, while others flow.
func TestPoison(t *testing.T) {
	queueBubble(t, func(t *testing.T, q *pubsub.Queue, _ *shaky) {
		put(t, q, msg("", "poison"), msg("", "1"), msg("", "2"))
		begin := time.Now()
		var r record
		var at []time.Duration
		consume(t, q, func(_ context.Context, d *pubsub.Delivery) error {
			if string(d.Data) == "poison" {
				at = append(at, time.Since(begin))
				require.Equal(t, (len(at)-1)%5+1, d.Attempt)
				return fmt.Errorf("attempt %d: %w", d.Attempt, errBad)
			}
			r.add(string(d.Data))
			return nil
		}, &pubsub.ConsumeOptions{Concurrency: 1, Prefetch: 3})
		synctest.Wait()
		require.Equal(t, []string{"1", "2"}, r.all())
		pass(2 * time.Minute)
		require.Len(t, at, 5)
		for i, pause := range []time.Duration{100 * time.Millisecond, time.Second, 5 * time.Second, 30 * time.Second} {
			require.LessOrEqual(t, at[i+1]-at[i], pause)
			require.GreaterOrEqual(t, at[i+1]-at[i], pause/2)
		}
		ds := letters(t, q)
		require.Len(t, ds, 1)
		require.Equal(t, "attempt 5: bad", ds[0].Error)
		require.Equal(t, 5, ds[0].Attempts)
		require.Equal(t, "poison", string(ds[0].Data))

		ok, err := q.Redrive(t.Context(), ds[0])
		require.NoError(t, err)
		require.True(t, ok)
		pass(2 * time.Minute)
		require.Len(t, at, 10, "with a count that begins anew")
	})
}

func TestAfterAndDead(t *testing.T) {
	queueBubble(t, func(t *testing.T, q *pubsub.Queue, _ *shaky) {
		put(t, q, msg("", "later"), msg("", "dead"))
		begin := time.Now()
		var at []time.Duration
		consume(t, q, func(_ context.Context, d *pubsub.Delivery) error {
			if string(d.Data) == "dead" {
				return fmt.Errorf("not for us: %w", pubsub.Dead(errBad))
			}
			if at = append(at, time.Since(begin)); len(at) < 4 {
				return pubsub.After(time.Minute)
			}
			return nil
		}, nil)
		pass(10 * time.Minute)
		require.Equal(t, []time.Duration{0, time.Minute, 2 * time.Minute, 3 * time.Minute}, at)
		ds := letters(t, q)
		require.Len(t, ds, 1)
		require.Equal(t, 1, ds[0].Attempts)
		require.Equal(t, "not for us: bad", ds[0].Error)
		require.EqualError(t, pubsub.Dead(nil), "no reason was given")
	})
}

func TestPanicAndGoexit(t *testing.T) {
	queueBubble(t, func(t *testing.T, q *pubsub.Queue, _ *shaky) {
		put(t, q, msg("k", "panic"), msg("k", "exit"), msg("k", "fine"))
		var r record
		consume(t, q, func(_ context.Context, d *pubsub.Delivery) error {
			r.add(string(d.Data))
			switch string(d.Data) {
			case "panic":
				panic("at the disco")
			case "exit":
				runtime.Goexit()
			}
			return nil
		}, &pubsub.ConsumeOptions{Concurrency: 1, Prefetch: 10, Deliveries: 2})
		pass(time.Minute)
		require.Equal(t, []string{"panic", "panic", "exit", "exit", "fine"}, r.all())
		ds := letters(t, q)
		require.Len(t, ds, 2)
		require.Equal(t, "pubsub: panic: at the disco", ds[0].Error)
		require.Equal(t, "pubsub: the handler ended its goroutine", ds[1].Error)
	})
}

// Order of a key holds under concurrency, failures and dead letters; other keys go on meanwhile.
func TestOrderOfKeys(t *testing.T) {
	for seed := range uint64(20) {
		queueBubble(t, func(t *testing.T, q *pubsub.Queue, _ *shaky) {
			rng := rand.New(rand.NewPCG(seed, 1))
			var mu sync.Mutex
			next, runs, busy := map[string]int{}, 0, map[string]bool{}
			consume(t, q, func(_ context.Context, d *pubsub.Delivery) error {
				mu.Lock()
				require.False(t, busy[d.Key], "two of one key at a time")
				busy[d.Key] = true
				require.Equal(t, fmt.Sprint(next[d.Key]), string(d.Data), "key %s", d.Key)
				runs++
				nap, fate := time.Duration(rng.IntN(50))*time.Millisecond, rng.IntN(10)
				mu.Unlock()
				time.Sleep(nap)
				mu.Lock()
				defer mu.Unlock()
				busy[d.Key] = false
				switch {
				case fate < 2 && d.Attempt < 5:
					return errBad
				case fate == 2 && d.Attempt < 5:
					return pubsub.After(20 * time.Millisecond)
				case fate == 3:
					next[d.Key]++
					return pubsub.Dead(errBad)
				}
				next[d.Key]++
				return nil
			}, &pubsub.ConsumeOptions{Concurrency: 8, Prefetch: 64})
			for i := range 50 {
				for k := range 5 {
					put(t, q, msg(fmt.Sprint(k), fmt.Sprint(i)))
				}
			}
			pass(time.Hour)
			for k := range 5 {
				require.Equal(t, 50, next[fmt.Sprint(k)])
			}
			require.Greater(t, runs, 300)
		})
	}
}

func TestConcurrency(t *testing.T) {
	queueBubble(t, func(t *testing.T, q *pubsub.Queue, _ *shaky) {
		var running, most atomic.Int64
		consume(t, q, func(context.Context, *pubsub.Delivery) error {
			most.Store(max(most.Load(), running.Add(1)))
			time.Sleep(time.Second)
			running.Add(-1)
			return nil
		}, &pubsub.ConsumeOptions{Concurrency: 7, Unordered: true})
		begin := time.Now()
		for range 70 {
			put(t, q, msg("same", ""))
		}
		pass(500 * time.Millisecond)
		for running.Load() > 0 {
			pass(time.Second)
		}
		require.EqualValues(t, 7, most.Load())
		require.Equal(t, 10*time.Second+500*time.Millisecond, time.Since(begin))
	})
}

// A handler that takes longer than the lease keeps its message.
func TestLongHandler(t *testing.T) {
	queueBubble(t, func(t *testing.T, q *pubsub.Queue, _ *shaky) {
		put(t, q, msg("", "1"))
		var runs atomic.Int64
		h := func(ctx context.Context, _ *pubsub.Delivery) error {
			runs.Add(1)
			time.Sleep(5 * time.Minute)
			return ctx.Err()
		}
		consume(t, q, h, nil)
		consume(t, q, h, nil)
		pass(10 * time.Minute)
		require.EqualValues(t, 1, runs.Load())
	})
}

// A consumer that is cut off tells its handlers before others can have their messages.
func TestLostLease(t *testing.T) {
	queueBubble(t, func(t *testing.T, q *pubsub.Queue, b *shaky) {
		put(t, q, msg("k", "1"), msg("k", "2"))
		var ended time.Time
		first := consume(t, q, func(ctx context.Context, _ *pubsub.Delivery) error {
			<-ctx.Done()
			ended = time.Now()
			require.ErrorIs(t, context.Cause(ctx), pubsub.ErrLost)
			return context.Cause(ctx)
		}, nil)
		synctest.Wait()
		b.down.Store(true)
		first.Pause()
		healthy := pubsub.NewQueue(b.QueueBackend, nil)
		var r record
		var begun time.Time
		consume(t, healthy, func(_ context.Context, d *pubsub.Delivery) error {
			if begun.IsZero() {
				begun = time.Now()
			}
			require.Greater(t, d.Attempt, 1)
			r.add(string(d.Data))
			return nil
		}, nil)
		pass(2 * time.Minute)
		require.False(t, ended.IsZero())
		require.True(t, ended.Before(begun), "it ended %v before", begun.Sub(ended))
		require.Equal(t, []string{"1", "2"}, r.all())
		b.down.Store(false)
		require.NoError(t, first.Drain(t.Context()))
	})
}

// What was handled is not lost with the answer to its ack, and is not handled again by this consumer.
// No handler begins with a message that is lost already, or about to be.
func TestLostBeforeItBegins(t *testing.T) {
	o := &pubsub.ConsumeOptions{Lease: 12 * time.Second}
	t.Run("lost with the one before it", func(t *testing.T) {
		queueBubble(t, func(t *testing.T, q *pubsub.Queue, b *shaky) {
			b.robbed.Store(true)
			put(t, q, msg("k", "a"), msg("k", "b"))
			var r record
			c := consume(t, q, func(_ context.Context, d *pubsub.Delivery) error {
				r.add(string(d.Data))
				return pubsub.After(time.Hour)
			}, o)
			synctest.Wait()
			c.Pause()
			pass(5 * time.Second)
			require.Equal(t, []string{"a"}, r.all())
		})
	})
	for late, want := range map[time.Duration][]string{
		time.Hour: {}, 12 * time.Second: {}, 10*time.Second + 1: {}, 9 * time.Second: {"a"},
	} {
		t.Run(fmt.Sprint("asked for ", late, " ago"), func(t *testing.T) {
			queueBubble(t, func(t *testing.T, q *pubsub.Queue, b *shaky) {
				b.late.Store(int64(late))
				put(t, q, msg("k", "a"))
				var r record
				c := consume(t, q, func(_ context.Context, d *pubsub.Delivery) error {
					r.add(string(d.Data))
					return nil
				}, o)
				synctest.Wait()
				c.Pause()
				require.Equal(t, want, r.all())
			})
		})
	}
}

func TestLostAck(t *testing.T) {
	queueBubble(t, func(t *testing.T, q *pubsub.Queue, b *shaky) {
		b.lostAcks.Store(3)
		var r record
		consume(t, q, func(_ context.Context, d *pubsub.Delivery) error {
			r.add(string(d.Data))
			return nil
		}, nil)
		put(t, q, msg("", "1"), msg("", "2"))
		pass(2 * time.Minute)
		require.ElementsMatch(t, []string{"1", "2"}, r.all())
	})
}

// What was handled while the engine was away for longer than a lease is settled when it is back.
func TestAcksOutliveAnOutage(t *testing.T) {
	queueBubble(t, func(t *testing.T, q *pubsub.Queue, b *shaky) {
		consume(t, q, func(context.Context, *pubsub.Delivery) error {
			b.down.Store(true)
			b.dry.Store(true)
			return nil
		}, nil)
		put(t, q, msg("", "1"))
		pass(10 * time.Minute)
		b.down.Store(false)
		pass(20 * time.Second) // the try that hangs has a third of the lease
		s, err := q.Stats(t.Context(), "t", "g")
		require.NoError(t, err)
		require.Equal(t, pubsub.Stats{}, s)
		b.dry.Store(false)
	})
}

// An error whose methods panic is an error like any other.
func TestErrorThatPanics(t *testing.T) {
	queueBubble(t, func(t *testing.T, q *pubsub.Queue, _ *shaky) {
		put(t, q, msg("k", "1"))
		consume(t, q, func(context.Context, *pubsub.Delivery) error {
			var err *rude
			return err
		}, &pubsub.ConsumeOptions{Deliveries: 1})
		pass(time.Minute)
		ds := letters(t, q)
		require.Len(t, ds, 1)
		require.Contains(t, ds[0].Error, "pubsub: panic: ")
	})
}

type rude struct{ text string }

func (r *rude) Error() string { return r.text }

// A dead letter is told of once, by the consumer that made it, also where the first answer was lost.
func TestDeadIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, lost := range []int64{0, 2} {
			var told atomic.Int64
			b := &shaky{QueueBackend: mempubsub.NewQueue(nil)}
			b.lostBuries.Store(lost)
			q := pubsub.NewQueue(b, &pubsub.QueueOptions{Trace: &pubsub.Trace{Dead: func(pubsub.DeadLetter) { told.Add(1) }}})
			put(t, q, msg("", "1"))
			c, err := q.Consume(t.Context(), "t", "g", func(context.Context, *pubsub.Delivery) error {
				return pubsub.Dead(errBad)
			}, nil)
			require.NoError(t, err)
			pass(time.Minute)
			require.NoError(t, c.Drain(t.Context()))
			require.EqualValues(t, 1, told.Load())
			require.Len(t, letters(t, q), 1)
		}
	})
}

func TestDrain(t *testing.T) {
	queueBubble(t, func(t *testing.T, q *pubsub.Queue, b *shaky) {
		for i := range 6 {
			put(t, q, msg("k", fmt.Sprint(i)))
		}
		put(t, q, msg("retry", "r"))
		var r record
		c := consume(t, q, func(ctx context.Context, d *pubsub.Delivery) error {
			if d.Key == "retry" {
				return pubsub.After(time.Hour)
			}
			time.Sleep(10 * time.Second)
			require.NoError(t, ctx.Err())
			r.add(string(d.Data))
			return nil
		}, &pubsub.ConsumeOptions{Prefetch: 100})
		pass(time.Second)
		begin := time.Now()
		require.NoError(t, c.Drain(t.Context()))
		require.Equal(t, 9*time.Second, time.Since(begin), "the handler that ran")
		require.Equal(t, []string{"0"}, r.all())
		var next record
		consume(t, q, func(_ context.Context, d *pubsub.Delivery) error {
			next.add(fmt.Sprint(string(d.Data), d.Attempt))
			return nil
		}, nil)
		synctest.Wait()
		require.ElementsMatch(t, []string{"11", "21", "31", "41", "51", "r2"}, next.all(), "given back at once; what no handler has seen is not counted")
	})
}

// Draining gives back what waits behind a message that is to come again: no handler begins with it, before that one or at all, and
// it does not keep Drain waiting.
func TestDrainBehindARetry(t *testing.T) {
	for _, o := range []*pubsub.ConsumeOptions{{Concurrency: 1, Prefetch: 3}, {Concurrency: 3, Prefetch: 3}} {
		queueBubble(t, func(t *testing.T, q *pubsub.Queue, _ *shaky) {
			put(t, q, msg("k", "a"), msg("k", "b"), msg("", "busy"))
			var r record
			c, err := q.Consume(t.Context(), "t", "g", func(_ context.Context, d *pubsub.Delivery) error {
				r.add(string(d.Data))
				if string(d.Data) == "a" {
					return pubsub.After(time.Hour)
				}
				time.Sleep(10 * time.Second)
				return nil
			}, o)
			require.NoError(t, err)
			pass(time.Second)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			require.NoError(t, c.Drain(ctx))
			require.ElementsMatch(t, []string{"a", "busy"}, r.all())
			var next record
			consume(t, q, func(_ context.Context, d *pubsub.Delivery) error {
				next.add(fmt.Sprint(string(d.Data), d.Attempt))
				return nil
			}, nil)
			pass(time.Minute)
			require.Equal(t, []string{"a2", "b1"}, next.all())
		})
	}
}

// The time that handlers have begins with the drain, also while nothing can be given back.
func TestDrainWithoutAnEngine(t *testing.T) {
	queueBubble(t, func(t *testing.T, q *pubsub.Queue, b *shaky) {
		put(t, q, msg("k", "1"), msg("k", "2"))
		var told time.Time
		c, err := q.Consume(t.Context(), "t", "g", func(ctx context.Context, _ *pubsub.Delivery) error {
			<-ctx.Done()
			told = time.Now()
			return ctx.Err()
		}, &pubsub.ConsumeOptions{Drain: 5 * time.Second, Lease: time.Hour})
		require.NoError(t, err)
		synctest.Wait()
		b.down.Store(true)
		begin := time.Now()
		require.NoError(t, c.Drain(t.Context()))
		require.Equal(t, 5*time.Second, told.Sub(begin))
	})
}

// While its handlers have enough to do, a consumer asks for a quarter of its prefetch or more.
func TestAsksForMany(t *testing.T) {
	queueBubble(t, func(t *testing.T, q *pubsub.Queue, b *shaky) {
		for i := range 300 {
			put(t, q, msg("", fmt.Sprint(i)))
		}
		var r record
		consume(t, q, func(_ context.Context, d *pubsub.Delivery) error {
			time.Sleep(time.Second)
			r.add(string(d.Data))
			return nil
		}, &pubsub.ConsumeOptions{Concurrency: 2, Prefetch: 100})
		pass(100 * time.Second)
		for _, n := range b.asked.all() {
			n, err := strconv.Atoi(n)
			require.NoError(t, err)
			require.GreaterOrEqual(t, n, 25)
		}
		pass(time.Minute)
		require.Len(t, r.all(), 300)
	})
}

func TestDrainThatTakesTooLong(t *testing.T) {
	queueBubble(t, func(t *testing.T, q *pubsub.Queue, _ *shaky) {
		put(t, q, msg("", "1"))
		ctx, cancel := context.WithCancelCause(t.Context())
		c, err := q.Consume(ctx, "t", "g", func(ctx context.Context, _ *pubsub.Delivery) error {
			<-ctx.Done()
			require.ErrorIs(t, context.Cause(ctx), pubsub.ErrClosed)
			return ctx.Err()
		}, &pubsub.ConsumeOptions{Drain: 5 * time.Second})
		require.NoError(t, err)
		synctest.Wait()
		begin := time.Now()
		cancel(errBad)
		<-c.Done()
		require.Equal(t, 5*time.Second, time.Since(begin))
		require.ErrorIs(t, c.Err(), errBad)
	})
}

func TestPause(t *testing.T) {
	queueBubble(t, func(t *testing.T, q *pubsub.Queue, _ *shaky) {
		var r record
		c := consume(t, q, func(_ context.Context, d *pubsub.Delivery) error {
			r.add(string(d.Data))
			return nil
		}, nil)
		put(t, q, msg("", "1"))
		synctest.Wait()
		c.Pause()
		put(t, q, msg("", "2")) // the fetch that was under way may have it
		synctest.Wait()
		put(t, q, msg("", "3"))
		pass(time.Minute)
		require.NotContains(t, r.all(), "3")
		c.Resume()
		synctest.Wait()
		require.Equal(t, []string{"1", "2", "3"}, r.all())
	})
}

// Restarts hand out a healthy message often; it becomes no dead letter for that.
func TestRollingRestarts(t *testing.T) {
	queueBubble(t, func(t *testing.T, q *pubsub.Queue, _ *shaky) {
		for i := range 20 {
			put(t, q, msg("k", fmt.Sprint(i)))
		}
		var r record
		h := func(_ context.Context, d *pubsub.Delivery) error {
			time.Sleep(10 * time.Second)
			r.add(string(d.Data))
			return nil
		}
		for range 12 {
			c, err := q.Consume(t.Context(), "t", "g", h, &pubsub.ConsumeOptions{Prefetch: 100})
			require.NoError(t, err)
			pass(time.Second)
			require.NoError(t, c.Drain(t.Context()))
		}
		consume(t, q, h, &pubsub.ConsumeOptions{Prefetch: 100})
		pass(10 * time.Minute)
		require.Len(t, r.all(), 20)
		require.Empty(t, letters(t, q))
	})
}

// counted is a backend that tells of many deliveries.
type counted struct {
	pubsub.QueueBackend
	n int
}

func (c counted) Join(ctx context.Context, topic, group string, o pubsub.JoinOptions) (pubsub.QueueConsumer, error) {
	qc, err := c.QueueBackend.Join(ctx, topic, group, o)
	return &countedConsumer{qc, c.n}, err
}

type countedConsumer struct {
	pubsub.QueueConsumer
	n int
}

func (c *countedConsumer) Fetch(ctx context.Context, n int) ([]pubsub.Received, error) {
	rs, err := c.QueueConsumer.Fetch(ctx, n)
	for i := range rs {
		rs[i].Delivered = c.n
	}
	return rs, err
}

// A message whose consumers died has one run, however often it was handed out, until that is far more often than it may be.
func TestNoOutcome(t *testing.T) {
	for delivered, want := range map[int]struct {
		runs     int
		attempts int
		err      string
	}{
		5:  {1, 5, "bad"},
		6:  {1, 6, "bad"},
		20: {1, 20, "bad"},
		21: {0, 20, "its consumers died, or were cut off, each time"},
	} {
		synctest.Test(t, func(t *testing.T) {
			q := pubsub.NewQueue(counted{mempubsub.NewQueue(nil), delivered}, nil)
			put(t, q, msg("k", "1"))
			var runs atomic.Int64
			consume(t, q, func(context.Context, *pubsub.Delivery) error {
				runs.Add(1)
				return errBad
			}, nil)
			pass(time.Minute)
			require.EqualValues(t, want.runs, runs.Load())
			ds := letters(t, q)
			require.Len(t, ds, 1)
			require.Equal(t, want.attempts, ds[0].Attempts)
			require.Equal(t, want.err, ds[0].Error)
		})
	}
}

func TestDelayed(t *testing.T) {
	queueBubble(t, func(t *testing.T, q *pubsub.Queue, _ *shaky) {
		begin := time.Now()
		var at time.Duration
		consume(t, q, func(context.Context, *pubsub.Delivery) error {
			at = time.Since(begin)
			return nil
		}, nil)
		require.NoError(t, q.PublishAfter(t.Context(), time.Hour, "t", msg("", "1")))
		pass(2 * time.Hour)
		require.Equal(t, time.Hour, at)
		for _, d := range []time.Duration{0, -1, 30*24*time.Hour + 1} {
			require.ErrorIs(t, q.PublishAfter(t.Context(), d, "t", msg("", "1")), pubsub.ErrInvalid)
		}
	})
}

func TestPublishGivesIDs(t *testing.T) {
	queueBubble(t, func(t *testing.T, q *pubsub.Queue, _ *shaky) {
		ms := []pubsub.Message{msg("", "1"), {ID: "mine"}}
		for range 3 { // its answer was lost
			require.NoError(t, q.Publish(t.Context(), "t", ms...))
		}
		require.Len(t, ms[0].ID, 26)
		require.Equal(t, "mine", ms[1].ID)
		s, err := q.Stats(t.Context(), "t", "g")
		require.NoError(t, err)
		require.Equal(t, 2, s.Waiting)
	})
}

// keys is a store of idempotency keys by shape.
type keys struct{ done map[string]bool }

func (k *keys) Once(ctx context.Context, key string, fn func(context.Context) error) error {
	if k.done[key] {
		return nil
	}
	err := fn(ctx)
	k.done[key] = err == nil
	return err
}

func TestAroundAndOnce(t *testing.T) {
	queueBubble(t, func(t *testing.T, q *pubsub.Queue, _ *shaky) {
		var r record
		handler := pubsub.Handler(func(_ context.Context, d *pubsub.Delivery) error {
			r.add(string(d.Data))
			return nil
		})
		k := &keys{done: map[string]bool{"seen": true}}
		around := func(ctx context.Context, fn func(context.Context) error) error {
			r.add("around")
			return fn(ctx)
		}
		consume(t, q, pubsub.Once(k, handler.Around(around)), &pubsub.ConsumeOptions{Concurrency: 1})
		put(t, q, pubsub.Message{ID: "seen", Data: []byte("1")}, pubsub.Message{ID: "new", Data: []byte("2")})
		synctest.Wait()
		require.Equal(t, []string{"around", "2"}, r.all())
	})
}

// A dead letter whose answer was lost is made until that is known, and its key waits.
func TestBuryThatFails(t *testing.T) {
	queueBubble(t, func(t *testing.T, q *pubsub.Queue, b *shaky) {
		var r record
		consume(t, q, func(_ context.Context, d *pubsub.Delivery) error {
			if r.add(string(d.Data)); string(d.Data) == "1" {
				b.down.Store(true)
				return pubsub.Dead(errBad)
			}
			return nil
		}, &pubsub.ConsumeOptions{Prefetch: 10, Concurrency: 2})
		put(t, q, msg("k", "1"), msg("k", "2"))
		pass(15 * time.Second)
		require.Equal(t, []string{"1"}, r.all())
		b.down.Store(false)
		pass(10 * time.Second) // the try that hangs has a third of the lease
		require.Equal(t, []string{"1", "2"}, r.all())
		require.Len(t, letters(t, q), 1)
	})
}

func TestQueueClose(t *testing.T) {
	queueBubble(t, func(t *testing.T, q *pubsub.Queue, _ *shaky) {
		c := consume(t, q, func(context.Context, *pubsub.Delivery) error { return nil }, nil)
		require.NoError(t, q.Close(t.Context()))
		require.ErrorIs(t, c.Err(), pubsub.ErrClosed)
		require.ErrorIs(t, q.Publish(t.Context(), "t"), pubsub.ErrClosed)
		_, err := q.Consume(t.Context(), "t", "g", func(context.Context, *pubsub.Delivery) error { return nil }, nil)
		require.ErrorIs(t, err, pubsub.ErrClosed)
		_, err = q.Stats(t.Context(), "t", "g")
		require.ErrorIs(t, err, pubsub.ErrClosed)
		require.ErrorIs(t, q.Close(t.Context()), pubsub.ErrClosed)
	})
}

func TestQueueInput(t *testing.T) {
	queueBubble(t, func(t *testing.T, q *pubsub.Queue, _ *shaky) {
		h := func(context.Context, *pubsub.Delivery) error { return nil }
		for _, group := range []string{"", "a b", "a.b", "ä", "*", string(make([]byte, 65))} {
			_, err := q.Consume(t.Context(), "t", group, h, nil)
			require.ErrorIs(t, err, pubsub.ErrInvalid)
			require.ErrorContains(t, err, "want 1 to 64 letters, digits, - and _ of ASCII")
		}
		_, err := q.Consume(t.Context(), "t", "g", nil, nil)
		require.ErrorIs(t, err, pubsub.ErrInvalid)
		_, err = q.Consume(t.Context(), "t.*", "g", h, nil)
		require.ErrorIs(t, err, pubsub.ErrInvalid)
		for want, o := range map[string]pubsub.ConsumeOptions{
			"Concurrency -1: want 1 to 10000":       {Concurrency: -1},
			"Concurrency 10001":                     {Concurrency: 10_001},
			"Prefetch 5: want 6 to 100000":          {Concurrency: 6, Prefetch: 5},
			"Deliveries 1001: want 1 to 1000":       {Deliveries: 1001},
			"Lease 999ms: want 1s to 1h0m0s":        {Lease: 999 * time.Millisecond},
			"Drain -1ns: want 1ms to 24h0m0s":       {Drain: -1},
			"Backoff[1] -1s: want 0s to 24h0m0s":    {Backoff: []time.Duration{0, -time.Second}},
			"Backoff[0] 24h0m0.000000001s: want 0s": {Backoff: []time.Duration{24*time.Hour + 1}},
		} {
			_, err := q.Consume(t.Context(), "t", "g", h, &o)
			require.ErrorIs(t, err, pubsub.ErrInvalid)
			require.ErrorContains(t, err, want)
		}
		require.NoError(t, q.Publish(t.Context(), "t"))
		require.ErrorIs(t, q.Publish(t.Context(), "a b", msg("", "")), pubsub.ErrInvalid)
		require.ErrorIs(t, q.Publish(noContext, "t"), pubsub.ErrInvalid)
		for _, err := range q.DeadLetters(t.Context(), "", "g") {
			require.ErrorIs(t, err, pubsub.ErrInvalid)
		}
		_, err = q.Redrive(t.Context(), pubsub.DeadLetter{})
		require.ErrorIs(t, err, pubsub.ErrInvalid)
	})
}

// A message that is given up keeps its place in the line of its key: what comes after it waits, and then runs alone.
func TestNoOutcomeKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := pubsub.NewQueue(&doomed{QueueBackend: mempubsub.NewQueue(nil)}, nil)
		put(t, q, msg("k", "doomed"), msg("k", "1"), msg("k", "2"), msg("k", "3"))
		var running, most atomic.Int64
		var r record
		consume(t, q, func(_ context.Context, d *pubsub.Delivery) error {
			most.Store(max(most.Load(), running.Add(1)))
			time.Sleep(time.Second)
			running.Add(-1)
			r.add(string(d.Data))
			return nil
		}, &pubsub.ConsumeOptions{Prefetch: 10, Concurrency: 5})
		pass(time.Minute)
		require.Equal(t, []string{"1", "2", "3"}, r.all())
		require.EqualValues(t, 1, most.Load())
		require.Len(t, letters(t, q), 1)
	})
}

// doomed is a backend that has handed out one message far too often.
type doomed struct{ pubsub.QueueBackend }

func (d *doomed) Join(ctx context.Context, topic, group string, o pubsub.JoinOptions) (pubsub.QueueConsumer, error) {
	qc, err := d.QueueBackend.Join(ctx, topic, group, o)
	return &doomedConsumer{qc}, err
}

type doomedConsumer struct{ pubsub.QueueConsumer }

func (c *doomedConsumer) Fetch(ctx context.Context, n int) ([]pubsub.Received, error) {
	rs, err := c.QueueConsumer.Fetch(ctx, n)
	for i := range rs {
		if string(rs[i].Data) == "doomed" {
			rs[i].Delivered = 1000
		}
	}
	return rs, err
}

// A poison message becomes a dead letter also where its consumers are restarted all the time.
func TestPoisonAndRestarts(t *testing.T) {
	queueBubble(t, func(t *testing.T, q *pubsub.Queue, _ *shaky) {
		put(t, q, msg("k", "poison"))
		var runs atomic.Int64
		for range 20 {
			c, err := q.Consume(t.Context(), "t", "g", func(context.Context, *pubsub.Delivery) error {
				runs.Add(1)
				return errBad
			}, nil)
			require.NoError(t, err)
			pass(500 * time.Millisecond) // two runs, and a pause
			require.NoError(t, c.Drain(t.Context()))
		}
		require.LessOrEqual(t, runs.Load(), int64(10))
		require.Len(t, letters(t, q), 1)
	})
}

// halting is a backend whose extensions fail at once, and then hang.
type halting struct{ pubsub.QueueBackend }

func (h halting) Join(ctx context.Context, topic, group string, o pubsub.JoinOptions) (pubsub.QueueConsumer, error) {
	qc, err := h.QueueBackend.Join(ctx, topic, group, o)
	return &haltingConsumer{QueueConsumer: qc}, err
}

type haltingConsumer struct {
	pubsub.QueueConsumer
	calls int
}

func (c *haltingConsumer) Extend(ctx context.Context, _ []pubsub.Receipt) ([]bool, error) {
	if c.calls++; c.calls > 2 {
		<-ctx.Done()
	}
	return nil, errAway
}

// A lost lease is told in time, however its extensions fail.
func TestLostLeaseIsToldInTime(t *testing.T) {
	for phase := range 12 {
		synctest.Test(t, func(t *testing.T) {
			q := pubsub.NewQueue(halting{mempubsub.NewQueue(nil)}, nil)
			var begun, ended time.Time
			c := consume(t, q, func(ctx context.Context, _ *pubsub.Delivery) error {
				if begun.IsZero() {
					begun = time.Now()
					<-ctx.Done()
					ended = time.Now()
				}
				return nil
			}, &pubsub.ConsumeOptions{Lease: 12 * time.Second})
			time.Sleep(time.Duration(phase)*time.Second + 100*time.Millisecond)
			put(t, q, msg("", "1"))
			synctest.Wait()
			c.Pause()
			pass(time.Minute)
			require.Less(t, ended.Sub(begun), 12*time.Second-500*time.Millisecond)
			require.Greater(t, ended.Sub(begun), 8*time.Second)
		})
	}
}

// A dead letter that cannot be made does not keep its consumer from ending.
func TestDrainWhileBuryFails(t *testing.T) {
	queueBubble(t, func(t *testing.T, q *pubsub.Queue, b *shaky) {
		put(t, q, msg("", "1"))
		c := consume(t, q, func(context.Context, *pubsub.Delivery) error {
			b.down.Store(true)
			return pubsub.Dead(errBad)
		}, &pubsub.ConsumeOptions{Drain: 5 * time.Second})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.NoError(t, c.Drain(ctx))
		require.NoError(t, c.Drain(ctx))
		var none context.Context
		require.ErrorIs(t, c.Drain(none), pubsub.ErrInvalid)
	})
}

// partly is an engine of which a part is away: it neither extends nor settles what it knows of that.
type partly struct {
	pubsub.QueueBackend
	away *parts
}

// parts are receipts of messages whose text begins with "away", and how often others were settled.
type parts struct {
	mu      sync.Mutex
	rs      map[pubsub.Receipt]bool
	settled int
}

func (p partly) Join(ctx context.Context, topic, group string, o pubsub.JoinOptions) (pubsub.QueueConsumer, error) {
	qc, err := p.QueueBackend.Join(ctx, topic, group, o)
	return &partlyConsumer{QueueConsumer: qc, away: p.away}, err
}

type partlyConsumer struct {
	pubsub.QueueConsumer
	away *parts
}

func (c *partlyConsumer) Fetch(ctx context.Context, n int) ([]pubsub.Received, error) {
	rs, err := c.QueueConsumer.Fetch(ctx, n)
	c.away.mu.Lock()
	defer c.away.mu.Unlock()
	for _, r := range rs {
		if strings.HasPrefix(string(r.Data), "away") {
			c.away.rs[r.Receipt] = true
		}
	}
	return rs, err
}

// reach returns those of rs that can be reached, and an error if that is not all.
func (c *partlyConsumer) reach(rs []pubsub.Receipt) (near []pubsub.Receipt, err error) {
	c.away.mu.Lock()
	defer c.away.mu.Unlock()
	for _, r := range rs {
		if c.away.rs[r] {
			err = errAway
		} else {
			near = append(near, r)
		}
	}
	return near, err
}

func (c *partlyConsumer) Extend(ctx context.Context, rs []pubsub.Receipt) ([]bool, error) {
	_, away := c.reach(rs)
	kept, err := c.QueueConsumer.Extend(ctx, rs)
	for i, r := range rs {
		if near, _ := c.reach([]pubsub.Receipt{r}); len(near) == 0 {
			kept[i] = false
		}
	}
	return kept, errors.Join(err, away)
}

func (c *partlyConsumer) Ack(ctx context.Context, rs []pubsub.Receipt) error {
	near, away := c.reach(rs)
	err := c.QueueConsumer.Ack(ctx, near)
	c.away.mu.Lock()
	defer c.away.mu.Unlock()
	c.away.settled += len(near)
	if err != nil || away == nil {
		return err
	}
	left := slices.DeleteFunc(slices.Clone(rs), func(r pubsub.Receipt) bool { return !c.away.rs[r] })
	return fmt.Errorf("ack: %w", &pubsub.UnsettledError{Receipts: left, Err: away})
}

// What cannot be extended or settled, since a part of the engine is away, is no matter to the rest.
func TestPartOfTheEngineIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := &parts{rs: map[pubsub.Receipt]bool{}}
		back := func() {
			away.mu.Lock()
			defer away.mu.Unlock()
			clear(away.rs)
		}
		q := pubsub.NewQueue(partly{mempubsub.NewQueue(nil), away}, nil)
		var ends, handled record
		c := consume(t, q, func(ctx context.Context, d *pubsub.Delivery) error {
			if string(d.Data) == "later" {
				handled.add(d.ID)
			}
			if strings.HasSuffix(string(d.Data), "slow") {
				select {
				case <-ctx.Done():
				case <-time.After(time.Minute):
				}
				ends.add(string(d.Data) + ": " + fmt.Sprint(context.Cause(ctx)))
			}
			return nil
		}, &pubsub.ConsumeOptions{Lease: 12 * time.Second, Concurrency: 10})
		t.Cleanup(back)
		put(t, q, msg("", "away"), msg("", "away, slow"), msg("", "slow"))
		synctest.Wait()
		c.Pause() // or what is not settled would come again
		for range 5 {
			pass(2 * time.Second) // what was not settled is tried again
		}
		c.Resume()
		const later = 5000 // more than may wait to be settled
		for range later {
			put(t, q, msg("", "later"))
		}
		for range 10 { // until its lease has ended twice
			pass(time.Second)
		}
		away.mu.Lock()
		settled := away.settled
		away.mu.Unlock()
		require.Len(t, handled.all(), later, "what is settled makes room")
		require.GreaterOrEqual(t, settled, later, "what is handled later is settled while older ones cannot be")
		back()
		pass(time.Minute)
		require.Contains(t, ends.all(), "slow: <nil>", "its lease is extended")
		require.Contains(t, ends.all(), fmt.Sprint("away, slow: ", pubsub.ErrLost), "or the test proves nothing")
	})
}

// Partitions are pinned: processes of different versions must agree on them.
func TestPartition(t *testing.T) {
	for _, c := range []struct {
		m    pubsub.Message
		n    int
		want int
	}{
		{pubsub.Message{ID: "1", Key: "a"}, 0, 0},
		{pubsub.Message{ID: "1", Key: "a"}, 1, 0},
		{pubsub.Message{ID: "1", Key: "a"}, 7, 0xe40c292c % 7},
		{pubsub.Message{ID: "2", Key: "a"}, 256, 0x2c},
		{pubsub.Message{ID: "a"}, 256, 0x2c},
		{pubsub.Message{ID: "1", Key: "foobar"}, 256, 0x68},
		{pubsub.Message{Key: "foobar"}, 100, 0xbf9cf968 % 100},
	} {
		require.Equal(t, c.want, c.m.Partition(c.n), "%+v", c)
	}
}
