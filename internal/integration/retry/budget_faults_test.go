package retry_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/internal/integration/redisserver"
	"github.com/concordkit/concord/retry"
)

// timed calls with a context that ends after d.
func timed(t *testing.T, d time.Duration, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	return call(ctx)
}

// loseAnswer makes the links deliver what is sent and lose what is answered, and then reset, so that a client that repeats
// by itself does. It returns a func that waits for the end of the fault.
func loseAnswer(links faultproxy.Links) (healed func()) {
	links.Set(faultproxy.Faults{BlackholeDown: true})
	done := make(chan struct{})
	time.AfterFunc(200*time.Millisecond, func() {
		defer close(done)
		links.ResetAll()
		links.Heal()
	})
	return func() { <-done }
}

// A give whose answer is lost must not be repeated: its tokens would be there twice.
func TestGiveIsNotRepeated(t *testing.T) {
	onEach(t, func(t *testing.T, s store) {
		b := retry.Bucket{Name: "given", Max: 100}
		links := s.links(t)
		p, direct := s.connect(t, links), s.connect(t, nil)
		got, err := p.Take(t.Context(), b, 100)
		require.NoError(t, err)
		require.Equal(t, 100, got)
		for range 5 {
			healed := loseAnswer(links)
			_ = timed(t, 2*time.Second, func(ctx context.Context) error { return p.Give(ctx, b, 3) })
			healed()
		}
		time.Sleep(200 * time.Millisecond)
		got, err = direct.Take(t.Context(), b, 100)
		require.NoError(t, err)
		require.LessOrEqual(t, got, 15, "tokens came twice")
	})
}

// The control of TestGiveIsNotRepeated: a client that repeats does it under this fault.
func TestLostAnswersAreRepeatedByDefault(t *testing.T) {
	t.Parallel()
	s := redisStore{redisserver.StartOrMini(t), nil}
	links := s.links(t)
	rdb := s.DialThrough(t, links[0], nil)
	require.NoError(t, rdb.Ping(t.Context()).Err())
	healed := loseAnswer(links)
	_ = timed(t, 2*time.Second, func(ctx context.Context) error { return rdb.Incr(ctx, "n").Err() })
	healed()
	n, err := s.Dial(t, nil).Get(t.Context(), "n").Int()
	require.NoError(t, err)
	require.Greater(t, n, 1, "the fault must make go-redis repeat")
}

// A call returns when its context ends, whatever the link does.
func TestPoolsHeedContexts(t *testing.T) {
	onEach(t, func(t *testing.T, s store) {
		b := retry.Bucket{Name: "heed", Max: 100}
		links := s.links(t)
		p := s.connect(t, links)
		_, err := p.Take(t.Context(), b, 1)
		require.NoError(t, err)
		links.Set(faultproxy.Faults{BlackholeUp: true, BlackholeDown: true})
		start := time.Now()
		err = timed(t, 100*time.Millisecond, func(ctx context.Context) error { _, err := p.Take(ctx, b, 1); return err })
		require.ErrorIs(t, err, context.DeadlineExceeded)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		require.ErrorIs(t, p.Give(ctx, b, 1), context.Canceled)
		require.Less(t, time.Since(start), 2*time.Second)
		links.Heal()
		links.ResetAll()
	})
}

// spenders withdraw from one bucket by links of their own, and the sum of what they got is never more than it had.
func spenders(t *testing.T, s store, harm func(all []faultproxy.Links)) {
	const processes, size = 4, 3000
	o := &retry.SharedOptions{Max: size, PerSecond: -1, Hold: 50 * time.Millisecond, Timeout: 300 * time.Millisecond}
	var granted atomic.Int64
	var slowest atomic.Int64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	direct := s.connect(t, nil)
	var all []faultproxy.Links
	var budgets []*retry.SharedBudget
	for range processes {
		links := s.links(t)
		budget, err := retry.NewSharedBudget(s.connect(t, links), "spent", o)
		require.NoError(t, err)
		all, budgets = append(all, links), append(budgets, budget)
	}
	for i, budget := range budgets {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				start := time.Now()
				if budget.Withdraw() {
					granted.Add(1)
				}
				slowest.Store(max(slowest.Load(), int64(time.Since(start))))
				time.Sleep(time.Duration(1+(n/200+i)%3*5) * time.Millisecond) // busy and idle by turns, so that tokens go back
			}
		})
	}
	harm(all)
	for _, links := range all {
		links.Heal()
	}
	close(stop)
	wg.Wait()
	for _, budget := range budgets {
		_ = timed(t, 5*time.Second, budget.Close)
	}
	left := 0
	require.Eventually(t, func() bool {
		return timed(t, 5*time.Second, func(ctx context.Context) (err error) {
			left, err = direct.Take(ctx, retry.Bucket{Name: "spent", Max: size}, size)
			return err
		}) == nil
	}, 60*time.Second, 100*time.Millisecond, "the store must come back")
	t.Logf("%d granted, %d left of %d; slowest withdrawal %s", granted.Load(), left, size, time.Duration(slowest.Load()))
	require.Positive(t, granted.Load())
	require.LessOrEqual(t, int(granted.Load())+left, size, "overspent")
	require.Less(t, time.Duration(slowest.Load()), time.Second, "no withdrawal waits for the store")
}

func TestNeverOverspentUnderFaults(t *testing.T) {
	onEach(t, func(t *testing.T, s store) {
		spenders(t, s, func(all []faultproxy.Links) {
			faults := []faultproxy.Faults{
				{BlackholeDown: true}, {BlackholeUp: true}, {Refuse: true}, {Latency: 50 * time.Millisecond}, {Chunk: 3},
			}
			for round := range 20 {
				for i, links := range all {
					links.Set(faults[(round+i)%len(faults)])
				}
				time.Sleep(150 * time.Millisecond)
				all[round%len(all)].ResetAll()
				all[(round+1)%len(all)].Heal()
			}
		})
	})
}

func TestNeverOverspentByRestarts(t *testing.T) {
	onDurable(t, func(t *testing.T, s durable) {
		spenders(t, s, func([]faultproxy.Links) {
			for range 5 {
				time.Sleep(500 * time.Millisecond)
				s.crash()
			}
			time.Sleep(500 * time.Millisecond)
		})
	})
}

// A leader that is cut off acknowledges nothing that its successor does not know.
func TestNeverOverspentByLostLeaders(t *testing.T) {
	t.Parallel()
	s := newNATS(t, 3)
	spenders(t, s, func([]faultproxy.Links) {
		time.Sleep(time.Second)
		leader := s.StreamLeader(t, "KV_"+kvName)
		s.Isolate(leader)
		time.Sleep(12 * time.Second)
		s.Heal()
		time.Sleep(time.Second)
		s.Restart(s.StreamLeader(t, "KV_"+kvName))
		time.Sleep(time.Second)
	})
}

// The control of the tests above: a server that forgets is found out.
func TestForgetfulServerIsFoundOut(t *testing.T) {
	t.Parallel()
	s := redisStore{redisserver.Start(t), nil} // without persistence
	b := retry.Bucket{Name: "forgotten", Max: 10}
	got := 0
	for range 2 {
		n, err := s.connect(t, nil).Take(t.Context(), b, 10)
		require.NoError(t, err)
		got += n
		s.crash()
	}
	require.Equal(t, 20, got)
}

func redisBudgetKey(name string) string { return "concord:budget:{" + name + "}" }

func TestRedisBucketsExpireWhenTheyAreFull(t *testing.T) {
	t.Parallel()
	s := redisStore{redisserver.StartOrMini(t), nil}
	rdb, p := s.Dial(t, nil), s.connect(t, nil)
	_, err := p.Take(t.Context(), retry.Bucket{Name: "fills", Max: 100, PerSecond: 10}, 100)
	require.NoError(t, err)
	ttl, err := rdb.PTTL(t.Context(), redisBudgetKey("fills")).Result()
	require.NoError(t, err)
	require.InDelta(t, 70*time.Second, ttl, float64(5*time.Second), "10 s to fill, and a minute")
	_, err = p.Take(t.Context(), retry.Bucket{Name: "stays", Max: 100}, 100)
	require.NoError(t, err)
	ttl, err = rdb.PTTL(t.Context(), redisBudgetKey("stays")).Result()
	require.NoError(t, err)
	require.Negative(t, ttl, "a bucket that does not fill must not be forgotten")
}

func TestRedisCorruptBuckets(t *testing.T) {
	t.Parallel()
	s := redisStore{redisserver.StartOrMini(t), nil}
	rdb, p := s.Dial(t, nil), s.connect(t, nil)
	b := retry.Bucket{Name: "corrupt", Max: 100, PerSecond: 10}
	for _, value := range []string{"", "x", "1", "-1 2", "1 2 3", "nan inf", "1e9 1"} {
		require.NoError(t, rdb.Set(t.Context(), redisBudgetKey("corrupt"), value, 0).Err())
		_, err := p.Take(t.Context(), b, 1)
		require.ErrorContains(t, err, "CORRUPT data in concord:budget:{corrupt}", "%q", value)
		require.Equal(t, value, rdb.Get(t.Context(), redisBudgetKey("corrupt")).Val())
	}
	require.NoError(t, rdb.Del(t.Context(), redisBudgetKey("corrupt")).Err())
	require.NoError(t, rdb.LPush(t.Context(), redisBudgetKey("corrupt"), "x").Err())
	require.ErrorContains(t, p.Give(t.Context(), b, 1), "WRONGTYPE")
	huge := "99999999999999999999999999 99999999999999999999999999"
	require.NoError(t, rdb.Set(t.Context(), redisBudgetKey("huge"), huge, 0).Err())
	b.Name = "huge"
	got, err := p.Take(t.Context(), b, 1000)
	require.NoError(t, err)
	require.Equal(t, 100, got)
}

func TestRedisForgetsScripts(t *testing.T) {
	t.Parallel()
	s := redisStore{redisserver.StartOrMini(t), nil}
	rdb, p := s.Dial(t, nil), s.connect(t, nil)
	for range 3 {
		got, err := p.Take(t.Context(), retry.Bucket{Name: "script", Max: 100}, 10)
		require.NoError(t, err)
		require.Equal(t, 10, got)
		require.NoError(t, rdb.ScriptFlush(t.Context()).Err())
	}
}

func TestRedisClockSteps(t *testing.T) {
	t.Parallel()
	s := redisStore{redisserver.StartMini(t), nil}
	p := s.connect(t, nil)
	b := retry.Bucket{Name: "clock", Max: 100, PerSecond: 10}
	now := time.Now()
	take := func(step time.Duration, want int) {
		t.Helper()
		now = now.Add(step)
		s.Mini().SetTime(now)
		got, err := p.Take(t.Context(), b, 100)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	take(0, 100)
	take(2*time.Second, 20)
	take(50*time.Millisecond, 0)
	take(50*time.Millisecond, 1) // halves are kept
	take(-time.Hour, 0)
	take(time.Second, 10)
	take(time.Hour, 100)
}
