package budgettest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/concordkit/concord/retry"
)

func newBucketIsFull(ctx context.Context, connect func() retry.Pool) error {
	for _, size := range []int{1, 10, 1_000_000} {
		if err := take(ctx, connect(), bucket(size, 0), size, size); err != nil {
			return err
		}
	}
	return nil
}

func noMoreThanThereIs(ctx context.Context, connect func() retry.Pool) error {
	p, b := connect(), bucket(10, 0)
	return first(
		take(ctx, p, b, 4, 4),
		take(ctx, p, b, 7, 6),
		take(ctx, p, b, 1, 0),
		take(ctx, connect(), b, 1_000_000, 0),
	)
}

func bucketsApart(ctx context.Context, connect func() retry.Pool) error {
	p, b := connect(), bucket(5, 0)
	for _, suffix := range []string{"", ":", "}", "{a}", "*", ".>", "/b", "\x00", " ", "ü", "\n", "%20"} {
		other := b
		other.Name += suffix
		if err := take(ctx, p, other, 9, 5); err != nil {
			return fmt.Errorf("suffix %q: %w", suffix, err)
		}
	}
	long := b
	long.Name = strings.Repeat("ü", 128-len(b.Name)) + b.Name // 256 bytes, or fewer
	return take(ctx, p, long, 9, 5)
}

func givenBack(ctx context.Context, connect func() retry.Pool) error {
	a, z, b := connect(), connect(), bucket(10, 0)
	return first(
		take(ctx, a, b, 10, 10),
		a.Give(ctx, b, 3),
		take(ctx, z, b, 10, 3),
		z.Give(ctx, b, 1),
		z.Give(ctx, b, 1),
		take(ctx, a, b, 10, 2),
	)
}

func neverAboveMax(ctx context.Context, connect func() retry.Pool) error {
	p, b := connect(), bucket(10, 0)
	fresh := bucket(10, 0)
	return first(
		take(ctx, p, b, 2, 2),
		p.Give(ctx, b, 1000),
		take(ctx, p, b, 1000, 10),
		p.Give(ctx, fresh, 5),
		take(ctx, p, fresh, 1000, 10),
	)
}

// fillsWithTime bounds what may have come by the times before and after each call, so that a slow store is not at fault.
func fillsWithTime(ctx context.Context, connect func() retry.Pool) error {
	const rate = 100
	p, b := connect(), bucket(50, rate)
	sent := time.Now()
	if err := take(ctx, p, b, 50, 50); err != nil {
		return err
	}
	answered := time.Now()
	total := 0
	for _, pause := range []time.Duration{200 * time.Millisecond, 5 * time.Millisecond, 95 * time.Millisecond} {
		time.Sleep(pause)
		least := int(time.Since(answered) * rate / time.Second)
		got, err := p.Take(ctx, b, 50)
		if err != nil {
			return err
		}
		total += got
		most := int(time.Since(sent)*rate/time.Second) + 1
		if total < least-1 || total > most {
			return fmt.Errorf("%d tokens came, want %d to %d", total, least-1, most)
		}
	}
	time.Sleep(time.Second)
	return take(ctx, p, b, 1000, 50)
}

func withoutRate(ctx context.Context, connect func() retry.Pool) error {
	p, b := connect(), bucket(3, 0)
	if err := take(ctx, p, b, 3, 3); err != nil {
		return err
	}
	time.Sleep(1500 * time.Millisecond)
	return take(ctx, p, b, 3, 0)
}

func takenTogether(ctx context.Context, connect func() retry.Pool) error {
	const processes, size = 8, 500
	b := bucket(size, 0)
	var taken atomic.Int64
	var mu sync.Mutex
	var failed error
	var wg sync.WaitGroup
	for i := range processes {
		p := connect()
		wg.Go(func() {
			for {
				got, err := p.Take(ctx, b, i+1)
				if err != nil {
					mu.Lock()
					failed = errors.Join(failed, err)
					mu.Unlock()
				}
				if err != nil || got <= 0 {
					return
				}
				if taken.Add(int64(got)) > 2*size { // a pool that never ends
					return
				}
			}
		})
	}
	wg.Wait()
	if n := taken.Load(); failed == nil && n != size {
		return fmt.Errorf("%d tokens of %d taken", n, size)
	}
	return failed
}

func endedContext(ctx context.Context, connect func() retry.Pool) error {
	p, b := connect(), bucket(5, 0)
	if err := take(ctx, p, b, 1, 1); err != nil {
		return err
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := p.Take(ended, b, 5); !errors.Is(err, context.Canceled) {
		return fmt.Errorf("take with an ended context: %v, want context.Canceled", err)
	}
	if err := p.Give(ended, b, 1); !errors.Is(err, context.Canceled) {
		return fmt.Errorf("give with an ended context: %v, want context.Canceled", err)
	}
	return take(ctx, p, b, 5, 4)
}

// first returns the first error.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
