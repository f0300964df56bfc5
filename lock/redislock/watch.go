package redislock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/concordkit/concord/lock"
)

// Watch implements lock.Backend. It reads the directory at every hint, when a claim in it can have ended, and at every
// interval, since hints may be lost.
func (b *Backend) Watch(ctx context.Context, dir string, interval time.Duration, emit func([]lock.Holder)) error {
	if b.err != nil {
		return b.err
	}
	hint, stop := b.link.watch(b.dirChannel(dir))
	defer stop()
	timer := time.NewTimer(interval)
	defer timer.Stop()
	for {
		next := interval
		hs, soonest, err := b.snapshot(ctx, dir)
		switch {
		case errors.Is(err, lock.ErrCorrupt):
			return err
		case err != nil:
			next = interval / 4
		default:
			emit(hs)
			if soonest > 0 {
				next = min(next, soonest+lookMargin)
			}
		}
		timer.Reset(next)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-hint:
		case <-timer.C:
		}
	}
}

func (b *Backend) snapshot(ctx context.Context, dir string) ([]lock.Holder, time.Duration, error) {
	reply, err := snapshot.Run(ctx, b.rdb, []string{b.dirKey(dir)}).Result()
	if err != nil {
		return nil, 0, fail("watch", lock.Claim{Dir: dir}, err)
	}
	hs, soonest, err := decodeSnapshot(reply)
	if err != nil {
		return nil, 0, fmt.Errorf("redislock: watch %q: %w", dir, err)
	}
	return hs, soonest, nil
}
