package lock

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// abandon releases c in the background, after a time of grace that ends early when over is closed, again and again until
// the server has heard it, cannot hear it, or c has died of age.
func (l *Locker) abandon(ctx context.Context, c Claim, grace time.Duration, over <-chan struct{}) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), c.TTL)
	l.work.Go(func() {
		defer stop()
		if grace > 0 {
			select {
			case <-time.After(grace):
			case <-over:
			}
		}
		for {
			err := l.withdraw(ctx, c)
			if err == nil || errors.Is(err, ErrCorrupt) || errors.Is(err, ErrInvalid) {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(c.TTL / retries):
			}
		}
	})
}

// withdraw is one try of abandon. A server that does not answer is asked again.
func (l *Locker) withdraw(ctx context.Context, c Claim) error {
	ctx, stop := context.WithTimeout(ctx, c.TTL/renewals)
	defer stop()
	_, err := await(l, ctx, HeedsDeadline, c, "release", func() (bool, error) { return l.b.Release(ctx, c) })
	return err
}

// await runs f and returns its answer, or the end of ctx when that comes first: a client library may not heed ctx. It
// stays on this goroutine where the engine heeds as much as needed.
func await[T any](l *Locker, ctx context.Context, needed Heed, c Claim, verb string, f func() (T, error)) (T, error) {
	if info := l.info.Load(); needed > HeedsNothing && info != nil && info.Heeds >= needed {
		return f()
	}
	type answer struct {
		v   T
		err error
	}
	ch := make(chan answer, 1)
	l.work.Go(func() {
		v, err := f()
		ch <- answer{v, err}
	})
	select {
	case a := <-ch:
		return a.v, a.err
	case <-ctx.Done():
		var none T
		return none, c.fail(verb, fmt.Errorf("%w: %w", ErrUnknownOutcome, ended(ctx)))
	}
}
