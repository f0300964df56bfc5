package budgettest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/concordkit/concord/retry"
)

// counted counts the calls of a pool.
type counted struct {
	retry.Pool
	calls *atomic.Int64
}

func (c counted) Take(ctx context.Context, b retry.Bucket, n int) (int, error) {
	c.calls.Add(1)
	return c.Pool.Take(ctx, b, n)
}

func (c counted) Give(ctx context.Context, b retry.Bucket, n int) error {
	c.calls.Add(1)
	return c.Pool.Give(ctx, b, n)
}

// fleet makes budgets of some processes for one bucket.
func fleet(connect func() retry.Pool, processes int, name string, o *retry.SharedOptions) ([]*retry.SharedBudget, *atomic.Int64, error) {
	calls := new(atomic.Int64)
	var all []*retry.SharedBudget
	for range processes {
		s, err := retry.NewSharedBudget(counted{connect(), calls}, name, o)
		if err != nil {
			return all, calls, err
		}
		all = append(all, s)
	}
	return all, calls, nil
}

func closeAll(ctx context.Context, all []*retry.SharedBudget) error {
	var failed error
	for _, s := range all {
		failed = first(failed, s.Close(ctx))
	}
	return failed
}

// spend withdraws until n have been granted or none was for 3 s, and returns how many were granted and tried.
func spend(s *retry.SharedBudget, n int) (granted, tried int) {
	for idle := time.Now(); granted < n && time.Since(idle) < 3*time.Second; {
		tried++
		if s.Withdraw() {
			granted++
			idle = time.Now()
			if granted%10 != 0 {
				continue
			}
		}
		time.Sleep(time.Millisecond)
	}
	return granted, tried
}

func sharedNeverOverspend(ctx context.Context, connect func() retry.Pool) error {
	const processes, size = 10, 2000
	b := bucket(size, 0)
	all, calls, err := fleet(connect, processes, b.Name, &retry.SharedOptions{Max: size, PerSecond: -1})
	defer func() { _ = closeAll(ctx, all) }() // also where something is broken
	if err != nil {
		return err
	}
	var granted, tried atomic.Int64
	var wg sync.WaitGroup
	for _, s := range all {
		wg.Go(func() {
			g, t := spend(s, 2*size)
			granted.Add(int64(g))
			tried.Add(int64(t))
		})
	}
	wg.Wait()
	if err := closeAll(ctx, all); err != nil {
		return err
	}
	if n := granted.Load(); n != size {
		return fmt.Errorf("%d withdrawals of %d tokens", n, size)
	}
	if n := calls.Load(); n > tried.Load()/100+processes {
		return fmt.Errorf("%d calls of the pool for %d withdrawals, want 1 of 100", n, tried.Load())
	}
	return take(ctx, connect(), b, 1, 0)
}

func busyGetsIdle(ctx context.Context, connect func() retry.Pool) error {
	const processes, size = 10, 20_000
	b := bucket(size, 0)
	all, calls, err := fleet(connect, processes, b.Name, &retry.SharedOptions{Max: size, PerSecond: -1})
	defer func() { _ = closeAll(ctx, all) }() // also where something is broken
	if err != nil {
		return err
	}
	time.Sleep(500 * time.Millisecond) // the others are idle, and hold what they hold
	granted, _ := spend(all[0], size)
	if granted < size*9/10 {
		return fmt.Errorf("%d withdrawals of %d tokens by one of %d processes", granted, size, processes)
	}
	if n := calls.Load(); n > int64(granted/100) {
		return fmt.Errorf("%d calls of the pool for %d withdrawals, want 1 of 100", n, granted)
	}
	return closeAll(ctx, all)
}

func closeGivesBack(ctx context.Context, connect func() retry.Pool) error {
	b := bucket(100, 0)
	all, _, err := fleet(connect, 4, b.Name, &retry.SharedOptions{Max: b.Max, PerSecond: -1, Chunk: 20})
	defer func() { _ = closeAll(ctx, all) }() // also where something is broken
	if err != nil {
		return err
	}
	granted := 0
	for _, s := range all {
		n, _ := spend(s, 5)
		granted += n
	}
	if err := closeAll(ctx, all); err != nil {
		return err
	}
	if all[0].Withdraw() {
		return fmt.Errorf("a closed budget grants")
	}
	return take(ctx, connect(), b, 1000, b.Max-granted)
}

// deadIsLost leaves a lease behind: nobody may get those tokens but with time.
func deadIsLost(ctx context.Context, connect func() retry.Pool) error {
	b := bucket(10, 0)
	return first(
		take(ctx, connect(), b, 6, 6),
		take(ctx, connect(), b, 10, 4),
		take(ctx, connect(), b, 10, 0),
	)
}
