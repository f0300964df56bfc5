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
// That it knows the set is proven by a probe: a small message that is stored in the bucket, which takes a majority. At each
// one the feed starts over with a read, and shows the probe: so it shows all that was stored, and has ended, before.
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
	upTo  uint64 // of the view that was shown last
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
		w.last, w.upTo = 0, 0
		w.feed.reset()
		return fmt.Errorf("sequence %d after %d", seq, w.last)
	}
	w.last = seq
	w.feed.again(interval / 2)
	return w.feed.await(ctx, seq, min(patience, interval/4))
}

// show emits the set, unless the feed has started over and is not as far yet as what was shown, or proven, before.
func (w *watch) show() error {
	w.feed.mu.Lock()
	if w.feed.view == nil || w.feed.view.upTo < max(w.last, w.upTo) {
		w.feed.mu.Unlock()
		return nil
	}
	w.upTo = w.feed.view.upTo
	hs, err := w.feed.view.holders()
	w.feed.mu.Unlock()
	if err == nil {
		w.emit(hs)
	}
	return err
}
