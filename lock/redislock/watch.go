package redislock

import (
	"context"
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
		v, err := b.snapshot(ctx, dir)
		switch {
		case err != nil && certain(err):
			return err
		case err != nil:
			next = interval / 4
		default:
			emit(v.holders)
			if v.soonest > 0 {
				next = min(next, v.soonest+lookMargin)
			}
			b.sweep(ctx, dir, v.dead)
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

func (b *Backend) snapshot(ctx context.Context, dir string) (view, error) {
	reply, err := snapshot.Run(ctx, b.rdb, []string{b.dirKey(dir)}).Result()
	if err != nil {
		return view{}, fail("watch", lock.Claim{Dir: dir}, err)
	}
	v, err := decodeSnapshot(reply)
	return v, fail("watch", lock.Claim{Dir: dir}, err)
}

// maxSweep bounds what one look cleans up; the next one goes on.
const maxSweep = 8

// sweep drops the dead of names that nobody may ask for again. It lets nobody in who would not be let in anyway.
func (b *Backend) sweep(ctx context.Context, dir string, names []string) {
	for _, name := range names[:min(len(names), maxSweep)] {
		c := lock.Claim{Dir: dir, Name: name}
		if sweep.Run(ctx, b.rdb, b.keys(c), b.args(c)...).Err() != nil {
			return // the next look tries again
		}
	}
}
