package lock

import (
	"context"
	"fmt"
	"time"
)

// abandon releases c in the background, again and again until the server has heard it or c has died of age.
func (l *Locker) abandon(ctx context.Context, c Claim) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), c.TTL)
	if !l.spawn(func() {
		defer stop()
		for l.withdraw(ctx, c) != nil && ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-time.After(c.TTL / 12):
			}
		}
	}) {
		stop()
	}
}

// withdraw is one try of abandon. A server that does not answer is asked again.
func (l *Locker) withdraw(ctx context.Context, c Claim) error {
	ctx, stop := context.WithTimeout(ctx, c.TTL/3)
	defer stop()
	_, err := await(l, ctx, HeedsDeadline, func() (bool, error) { return l.b.Release(ctx, c) })
	return err
}

// await runs f and returns its answer, or the end of ctx when that comes first: a client library may not heed ctx. It
// stays on this goroutine where the engine heeds as much as needed.
func await[T any](l *Locker, ctx context.Context, needed Heed, f func() (T, error)) (T, error) {
	if info := l.info.Load(); ctx.Done() == nil || needed > HeedsNothing && info != nil && info.Heeds >= needed {
		return f()
	}
	type answer struct {
		v   T
		err error
	}
	var none T
	ch := make(chan answer, 1)
	if !l.spawn(func() {
		v, err := f()
		ch <- answer{v, err}
	}) {
		return none, ErrClosed
	}
	select {
	case a := <-ch:
		return a.v, a.err
	case <-ctx.Done():
		return none, fmt.Errorf("%w: %w", ErrUnknownOutcome, ended(ctx))
	}
}
