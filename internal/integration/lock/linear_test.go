package lock_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/internal/integration/history"
	"github.com/concordkit/concord/internal/integration/stores"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/fence"
)

// drive lets five clients work on a few names for some time, each over a link of its own that faults break at random,
// and records what they see. Work is called with every lease.
func drive(t *testing.T, s stores.Store, r *history.Recorder, lasting time.Duration, faults []faultproxy.Faults, work func(client int, lease *lock.Lease)) {
	const clients, names = 5, 3
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	ctx, stop := context.WithTimeout(t.Context(), lasting)
	defer stop()
	var wg sync.WaitGroup
	for i := range clients {
		rnd := rand.New(rand.NewPCG(seed, uint64(i)))
		nemesis := rand.New(rand.NewPCG(seed, uint64(clients+i)))
		p := linked(t, s, nil)
		wg.Go(func() {
			for ctx.Err() == nil {
				observe(ctx, r, i, p.locks, fmt.Sprint("linear-", rnd.IntN(names)), time.Duration(rnd.Int64N(int64(ttl/2))), work)
			}
		})
		wg.Go(func() {
			for ctx.Err() == nil {
				p.link.Set(faults[nemesis.IntN(len(faults))])
				if nemesis.IntN(4) == 0 {
					p.link.ResetAll()
				}
				sleep(ctx, time.Duration(nemesis.Int64N(int64(ttl*3/2))))
				p.link.Heal()
				sleep(ctx, time.Duration(nemesis.Int64N(int64(ttl/2))))
			}
			p.link.Heal()
		})
	}
	wg.Wait()
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// observe acquires name once and records what it sees until it releases or is told.
func observe(ctx context.Context, r *history.Recorder, client int, l *lock.Locker, name string, hold time.Duration, work func(int, *lock.Lease)) {
	wait, stop := context.WithTimeout(ctx, ttl)
	defer stop()
	call := r.Now()
	lease, err := l.Acquire(wait, name)
	if err != nil {
		sleep(ctx, 10*time.Millisecond)
		return // whatever it left on the server, this client never believed to hold
	}
	op := func(e history.LeaseEvent) history.LeaseOp {
		return history.LeaseOp{Op: e, Name: name, Token: uint64(lease.Token())}
	}
	r.Add(client, op(history.Acquired), nil, call, r.Now())
	seen := r.Now()
	for end := seen + hold; r.Now() < end; {
		call := r.Now()
		if lease.Context().Err() != nil {
			break
		}
		r.Add(client, op(history.Held), nil, call, r.Now())
		seen = call
		if work != nil {
			work(client, lease)
		}
		select {
		case <-lease.Context().Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	if lease.Context().Err() == nil {
		seen = r.Now()
		lease.Release()
	}
	r.Add(client, op(history.Ended), nil, seen, r.Now())
}

var linkFaults = []faultproxy.Faults{
	{},
	{Latency: 10 * time.Millisecond, Jitter: 50 * time.Millisecond},
	{Latency: 100 * time.Millisecond},
	{BlackholeUp: true, BlackholeDown: true},
	{BlackholeUp: true},
	{BlackholeDown: true},
	{Refuse: true},
	{Chunk: 5},
}

func TestHistoriesUnderLinkFaults(t *testing.T) {
	stores.OnEach(t, func(t *testing.T, s stores.Store) {
		r := history.New()
		drive(t, s, r, 8*time.Second, linkFaults, nil)
		require.Greater(t, r.Len(), 100, "the clients must get something done")
		r.Require(t, history.Lease)
	})
}

// The server pauses now and then; nothing is lost by that.
func TestHistoriesUnderServerPauses(t *testing.T) {
	t.Parallel()
	s := stores.RealRedis(t)
	r := history.New()
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Duration(rand.Int64N(int64(ttl)))):
				s.Pause()
				time.Sleep(time.Duration(rand.Int64N(int64(ttl * 5 / 4))))
				s.Resume()
			}
		}
	})
	drive(t, s, r, 8*time.Second, []faultproxy.Faults{{}, {Latency: 20 * time.Millisecond}}, nil)
	close(done)
	wg.Wait()
	r.Require(t, history.Lease)
}

// The server forgets everything now and then: two may hold for a while, and the fence must refuse the older.
func TestFencedRegisterThoughTheServerForgets(t *testing.T) {
	t.Parallel()
	s := stores.RealRedis(t)
	r, leases := history.New(), history.New()
	admin := s.Dial(t, nil)
	var guard fence.Guard
	var mu sync.Mutex
	values := map[string]int{}
	var next, refused atomic.Int64
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(ttl / 3):
				if err := admin.FlushAll(context.Background()).Err(); err != nil {
					t.Errorf("FLUSHALL: %v", err)
				}
			}
		}
	})
	drive(t, s, leases, 8*time.Second, []faultproxy.Faults{{}}, func(client int, lease *lock.Lease) {
		name, v := lease.Claim().Name, int(next.Add(1))
		call := r.Now()
		err := guard.Do(name, lease.Token(), func() error {
			mu.Lock()
			defer mu.Unlock()
			values[name] = v
			return nil
		})
		if err != nil {
			refused.Add(1)
		}
		r.Add(client, history.RegisterOp{Name: name, Token: uint64(lease.Token()), Value: v}, history.RegisterResult{Accepted: err == nil}, call, r.Now())
		call = r.Now()
		mu.Lock()
		v = values[name]
		mu.Unlock()
		r.Add(client, history.RegisterOp{Name: name}, history.RegisterResult{Value: v}, call, r.Now())
	})
	close(done)
	wg.Wait()
	r.Require(t, history.Register)
	// The faults are real: leases alone do not exclude each other here, and stale writes were refused.
	require.Error(t, leases.Check(history.Lease), "a server that forgets must show two holders, or this test proves nothing")
	require.Positive(t, refused.Load(), "stale writes must have been tried")
	t.Logf("%d stale writes refused", refused.Load())
}
