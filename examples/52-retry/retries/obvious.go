package retries

import (
	"context"
	"time"
)

// obvious is the loop that everybody writes first. Do not copy it: all who failed together come back together.
func obvious(ctx context.Context, call func(context.Context) error) (err error) {
	wait := delay
	for i := range attempts {
		if i > 0 {
			if err := sleep(ctx, wait); err != nil {
				return err
			}
			wait = min(2*wait, maxDelay)
		}
		if err = call(ctx); err == nil {
			return nil
		}
	}
	return err
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
