package natslock

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/concordkit/concord/lock"
)

// Watch implements lock.Backend.
//
// That it knows the set is proven by a probe: a small message that is stored in the bucket, which takes a majority, and that
// its own consumer has to deliver. Then the view shows all that was stored before the probe.
func (b *Backend) Watch(ctx context.Context, dir string, interval time.Duration, emit func([]lock.Holder)) error {
	c := lock.Claim{Dir: dir}
	if err := b.ready(ctx); err != nil {
		return fail("watch", c, err)
	}
	changed := make(chan struct{}, 1)
	probe := "p." + rand.Text()
	f := b.newFeed("d."+token(dir)+".*.*", []string{probe}, nil, func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	defer f.stop()
	w := &watch{b: b, feed: f, probe: probe, emit: emit}
	err := w.run(ctx, interval, changed)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fail("watch", c, err)
}

// watch is a Watch at work.
type watch struct {
	b     *Backend
	feed  *feed
	probe string
	last  uint64 // sequence of the last probe
	emit  func([]lock.Holder)
}

func (w *watch) run(ctx context.Context, interval time.Duration, changed <-chan struct{}) error {
	tick := time.NewTimer(0)
	defer tick.Stop()
	for known := false; ; {
		next := interval
		var err error
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
			if !known {
				continue
			}
			err = w.show()
		case <-tick.C:
			if err = w.prove(ctx, interval); err == nil {
				known, err = true, w.show()
			} else {
				next = interval / 4
			}
			tick.Reset(next)
		}
		if final(err) || errors.Is(err, lock.ErrCorrupt) {
			return err
		}
	}
}

// prove returns once the feed shows all that was stored before the call.
func (w *watch) prove(ctx context.Context, interval time.Duration) error {
	ctx, stop := context.WithTimeout(ctx, interval)
	defer stop()
	seq, err := w.b.publish(ctx, w.probe, probeHeader, nil)
	if err != nil {
		return err
	}
	if seq <= w.last { // another bucket of the same name
		w.last = 0
		w.feed.reset()
		return fmt.Errorf("sequence %d after %d", seq, w.last)
	}
	w.last = seq
	if err := w.feed.await(ctx, seq, min(patience, interval/4)); err != nil {
		return err
	}
	w.feed.mu.Lock()
	defer w.feed.mu.Unlock()
	if w.feed.view == nil || w.feed.view.overdue(time.Now()) {
		w.feed.restart()
		return errGap
	}
	return nil
}

// show emits the set, unless the feed has started over and is not as far yet as it was once.
func (w *watch) show() error {
	w.feed.mu.Lock()
	if w.feed.view == nil || w.feed.view.upTo < w.last {
		w.feed.mu.Unlock()
		return nil
	}
	hs, err := w.feed.view.holders()
	w.feed.mu.Unlock()
	if err == nil {
		w.emit(hs)
	}
	return err
}
