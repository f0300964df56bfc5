package lockbench

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
	"github.com/concordkit/concord/internal/benchmarks/redisproc"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/redislock"
)

const (
	someLeases = 1000
	manyLeases = 10_000
	manyTTL    = 6 * time.Second
	acquirers  = 8
	// ending is how long goroutines that have done their work may take to end.
	ending = 100 * time.Millisecond
)

// held measures what leases cost that are only held.
func held(ctx context.Context, s *redisproc.Server) ([]ratio.Row, error) {
	row, err := heldGoroutines(ctx, s)
	if err != nil {
		return nil, err
	}
	many, err := heldMany(ctx, s)
	return append(many, row), err
}

// holder is a Locker whose pipelines are counted.
type holder struct {
	*lock.Locker
	pipes *pipes
	close func()
}

func newHolder(s *redisproc.Server, ttl time.Duration) holder {
	rdb := s.Client()
	h := holder{pipes: new(pipes)}
	rdb.AddHook(h.pipes)
	h.Locker = lock.New(redislock.New(rdb, nil), &lock.Options{TTL: ttl})
	h.close = func() {
		ctx, stop := context.WithTimeout(context.Background(), closeTimeout)
		defer stop()
		h.Close(ctx) // what it could not release goes with the server
		rdb.Close()
	}
	return h
}

// acquireMany acquires n names.
func acquireMany(ctx context.Context, l *lock.Locker, n int) error {
	var g errgroup.Group
	g.SetLimit(acquirers)
	for i := range n {
		g.Go(func() error {
			_, err := l.Acquire(ctx, fmt.Sprint("held", i))
			return err
		})
	}
	return g.Wait()
}

func heldGoroutines(ctx context.Context, s *redisproc.Server) (ratio.Row, error) {
	h := newHolder(s, 15*time.Second) // no renewal within this measurement
	defer h.close()
	if _, err := h.Acquire(ctx, "first"); err != nil { // whatever the first use starts
		return ratio.Row{}, err
	}
	time.Sleep(ending)
	before := runtime.NumGoroutine()
	if err := acquireMany(ctx, h.Locker, someLeases); err != nil {
		return ratio.Row{}, err
	}
	time.Sleep(ending)
	more := runtime.NumGoroutine() - before
	return ratio.Row{
		Goal:   fmt.Sprintf("goroutines of %d held leases", someLeases),
		Ours:   fmt.Sprint(more),
		Value:  float64(more),
		Target: ratio.AtMost(2, ""),
	}, nil
}

func heldMany(ctx context.Context, s *redisproc.Server) ([]ratio.Row, error) {
	h := newHolder(s, manyTTL)
	defer h.close()
	before := ratio.LiveHeap()
	if err := acquireMany(ctx, h.Locker, manyLeases); err != nil {
		return nil, err
	}
	perLease := float64(ratio.LiveHeap()-before) / manyLeases
	h.pipes.reset()
	if err := sleep(ctx, manyTTL); err != nil {
		return nil, err
	}
	pipelines, commands := h.pipes.read()
	perTTL := float64(pipelines) / float64(commands) * manyLeases * renewals
	goal := fmt.Sprintf("%d held leases: ", manyLeases)
	return []ratio.Row{
		{Goal: goal + "renewal pipelines per TTL", Ours: fmt.Sprintf("%.1f", perTTL), Note: "each lease is renewed 3 times per TTL"},
		{Goal: goal + "heap per lease", Ours: fmt.Sprintf("%.0f bytes", perLease)},
	}, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
