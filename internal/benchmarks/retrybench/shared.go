package retrybench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
	"github.com/concordkit/concord/retry"
	"github.com/concordkit/concord/retry/membudget"
)

const (
	// nodes is how many share a pool.
	nodes = 10
	// settled is long after idle nodes have leased what they keep.
	settled = 200 * time.Millisecond
	// exhausted is how long there is no token before a node gives up.
	exhausted = time.Second
	// burst is how many retries come at once, each millisecond.
	burst = 10
)

// poolSizes are the default and one for a large fleet.
var poolSizes = []int{1000, 20_000}

// sharedBudgets measures what no peer has. The pool gets no tokens with time, so that all that were there can be counted.
func sharedBudgets(ctx context.Context) ([]ratio.Row, error) {
	var rows []ratio.Row
	for _, size := range poolSizes {
		for _, hot := range []int{1, nodes} {
			s, err := spend(ctx, membudget.New(), size, hot)
			if err != nil {
				return nil, err
			}
			rows = append(rows, s.rows()...)
		}
	}
	return rows, nil
}

// spending is what became of a pool.
type spending struct {
	size, hot              int
	granted, calls, refund int64
}

// spend lets so many of the nodes withdraw until there is nothing left, while the others are idle. Then all are closed, and what
// they give back is counted.
func spend(ctx context.Context, pool retry.Pool, size, hot int) (spending, error) {
	s := spending{size: size, hot: hot}
	m := &meter{Pool: pool}
	var all []*retry.SharedBudget
	for range nodes {
		b, err := retry.NewSharedBudget(m, "billing", &retry.SharedOptions{Max: size, PerSecond: -1})
		if err != nil {
			return s, err
		}
		defer b.Close(ctx)
		all = append(all, b)
	}
	time.Sleep(settled)
	var granted atomic.Int64
	var wg sync.WaitGroup
	for _, b := range all[:hot] {
		wg.Go(func() { granted.Add(drain(ctx, b)) })
	}
	wg.Wait()
	s.granted, s.calls = granted.Load(), m.useful.Load()
	for _, b := range all {
		if err := b.Close(ctx); err != nil {
			return s, err
		}
	}
	s.refund = m.given.Load()
	return s, ctx.Err()
}

// drain withdraws until nothing has been granted for a while.
func drain(ctx context.Context, b retry.Budget) (granted int64) {
	for last := time.Now(); time.Since(last) < exhausted && ctx.Err() == nil; time.Sleep(time.Millisecond) {
		for range burst {
			if b.Withdraw() {
				granted++
				last = time.Now()
			}
		}
	}
	return granted
}

func (s spending) rows() []ratio.Row {
	who := fmt.Sprintf("shared budget of %d, hot nodes %d of %d", s.size, s.hot, nodes)
	over := s.granted + s.refund - int64(s.size)
	rows := []ratio.Row{{
		Goal:   who + ": tokens spent that were not there",
		Ours:   fmt.Sprint(max(0, over)),
		Value:  float64(max(0, over)),
		Target: none,
		Note:   fmt.Sprintf("%d granted, %d given back", s.granted, s.refund),
	}, {
		Goal:   who + ": calls of the store per 100 withdrawals",
		Ours:   fmt.Sprintf("%.2f", s.perHundred()),
		Value:  s.perHundred(),
		Target: ratio.AtMost(1, ""),
		Note:   fmt.Sprintf("a node holds at most a tenth of the pool, %d, and leases half of that at once", s.size/10),
	}}
	if s.hot > 1 {
		return rows
	}
	part := 100 * float64(s.granted) / float64(s.size)
	return append(rows, ratio.Row{
		Goal:   who + ": of an idle pool granted to the one",
		Ours:   fmt.Sprintf("%.1f %%", part),
		Value:  part,
		Target: ratio.AtLeast(90, "%"),
	})
}

func (s spending) perHundred() float64 { return 100 * float64(s.calls) / float64(s.granted) }

// meter counts the calls that got something, and the tokens given back. A pool that is empty is asked on, for the sake of what
// time brings.
type meter struct {
	retry.Pool
	useful, given atomic.Int64
}

// Take implements retry.Pool.
func (m *meter) Take(ctx context.Context, b retry.Bucket, n int) (int, error) {
	got, err := m.Pool.Take(ctx, b, n)
	if got > 0 {
		m.useful.Add(1)
	}
	return got, err
}

// Give implements retry.Pool.
func (m *meter) Give(ctx context.Context, b retry.Bucket, n int) error {
	m.given.Add(int64(n))
	return m.Pool.Give(ctx, b, n)
}
