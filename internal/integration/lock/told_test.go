package lock_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/internal/integration/stores"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/redislock"
)

// A trial cuts a holder off at some phase of its lease and compares when it is told with when the next one holds.
type trial struct {
	delay time.Duration // of each answer
	idle  time.Duration // since the old holder's client was last heard
	phase time.Duration // of the cut, after the grant
	hole  faultproxy.Faults
}

var holes = []faultproxy.Faults{
	{BlackholeUp: true, BlackholeDown: true}, // nothing passes
	{BlackholeUp: true},                      // requests are lost
	{BlackholeDown: true},                    // requests are applied, answers are lost
}

// run returns how long before the next holder the old one was told.
func (c trial) run(t *testing.T, s stores.Store, name string) time.Duration {
	first := direct(t, s)
	trace, queued := queueing()
	told := make(chan time.Time, 2)
	// The hook runs before anything is sent, so that nobody can have been let in by a release.
	trace.Hold = func(context.Context, lock.Claim) func(error) { return func(error) { told <- time.Now() } }
	old := linked(t, s, trace)
	delay := faultproxy.Faults{Latency: c.delay / 2}
	old.link.Set(delay)

	require.NoError(t, old.acquire(t, name).Release())
	<-told
	time.Sleep(c.idle)
	head := first.acquire(t, name)
	got := queue(t, old, queued, name)
	require.NoError(t, head.Release())
	lease := within(t, ttl, got, "a grant must arrive") // pushed
	next := make(chan time.Time, 1)
	go func() {
		if lease, err := first.locks.Acquire(t.Context(), name); err == nil {
			next <- time.Now()
			lease.Release()
		}
	}()
	time.Sleep(c.phase)
	cut := c.hole
	cut.Latency = delay.Latency
	old.link.Set(cut)
	at := within(t, ttl+slack, told, "the loss must be told")
	require.ErrorIs(t, context.Cause(lease.Context()), lock.ErrLost)
	return within(t, 2*ttl+slack, next, "the next one must get the lock").Sub(at)
}

// atATime is how many trials run side by side on each engine: more would be late for want of CPU.
const atATime = 10

func TestToldBeforeNext(t *testing.T) { // T1
	stores.OnEach(t, func(t *testing.T, s stores.Store) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		rnd := rand.New(rand.NewPCG(seed, 0))
		var wg sync.WaitGroup
		var mu sync.Mutex
		least := time.Hour
		for i := range stores.Trials(t) {
			c := trial{
				delay: []time.Duration{0, 20, 200}[i%3] * time.Millisecond,
				idle:  time.Duration(rnd.Int64N(int64(ttl * 19 / 20))),
				phase: time.Duration(rnd.Int64N(int64(ttl))),
				hole:  holes[rnd.IntN(len(holes))],
			}
			wg.Go(func() {
				t.Run(fmt.Sprint(i), func(t *testing.T) { // which closes its clients
					lead := c.run(t, s, fmt.Sprint("told-", i))
					mu.Lock()
					defer mu.Unlock()
					least = min(least, lead)
					require.Positive(t, lead, "told after the next holder: %+v", c)
				})
			})
			if i%atATime == atATime-1 {
				wg.Wait()
			}
		}
		wg.Wait()
		t.Logf("told at least %v before the next holder", least)
	})
}

// The control: an engine that claims to have renewed is found out.
func TestToldBeforeNextFindsALiar(t *testing.T) {
	t.Parallel()
	s := stores.AnyRedis(t)
	liar := lock.New(&liar{Backend: redislock.New(s.Dial(t, nil), nil)}, &lock.Options{TTL: ttl})
	lease, err := liar.Acquire(t.Context(), "liar")
	require.NoError(t, err)
	next := direct(t, s).acquire(t, "liar")
	require.NoError(t, lease.Context().Err(), "the control must show two holders, or the test above proves nothing")
	require.NoError(t, next.Release())
	lease.Release()
	require.NoError(t, liar.Close(t.Context()))
}

// liar says that a claim is held as it was at first, and renews nothing.
type liar struct {
	*redislock.Backend
	first lock.State
}

func (l *liar) Acquire(ctx context.Context, c lock.Claim, notify func(lock.State)) (lock.State, error) {
	st, err := l.Backend.Acquire(ctx, c, notify)
	l.first = st
	return st, err
}

func (l *liar) Renew(context.Context, []lock.Claim) ([]lock.State, error) {
	return []lock.State{l.first}, nil
}

func TestHolderIsToldWhenTheServerHangs(t *testing.T) { // T2, T14: the server is stopped and goes on
	t.Parallel()
	s := stores.RealRedis(t)
	p := direct(t, s)
	lease := p.acquire(t, "hang")
	start := time.Now()
	s.Pause()
	within(t, ttl, lease.Context().Done(), "the loss must be told within the TTL")
	require.Less(t, time.Since(start), ttl)
	s.Resume()
	next := direct(t, s).acquire(t, "hang")
	require.Greater(t, next.Token(), lease.Token())
	require.ErrorIs(t, lease.Release(), lock.ErrLost)
	require.NoError(t, next.Context().Err(), "an old holder's release must not touch its successor") // T9
	require.NoError(t, next.Release())
}

func TestRenewalsThatAnswerLateReviveNothing(t *testing.T) { // T3, T4
	stores.OnEach(t, func(t *testing.T, s stores.Store) {
		p := linked(t, s, nil)
		lease := p.acquire(t, "late")
		p.link.Set(faultproxy.Faults{BlackholeDown: true})
		time.Sleep(ttl / 2)
		p.link.Heal()
		time.Sleep(ttl)
		require.NoError(t, lease.Context().Err(), "a renewal that works within the lease keeps it")

		p.link.Set(faultproxy.Faults{BlackholeDown: true})
		within(t, 2*ttl, lease.Context().Done(), "the loss must be told")
		p.link.Heal() // the answers arrive: the server had renewed it all the time
		start := time.Now()
		next := direct(t, s).acquire(t, "late")
		require.Less(t, time.Since(start), ttl+slack)
		require.ErrorIs(t, context.Cause(lease.Context()), lock.ErrLost, "a loss is final")
		require.NoError(t, next.Release())
	})
}
