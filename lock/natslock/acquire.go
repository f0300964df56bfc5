package natslock

import (
	"context"
	"errors"
	"time"

	"github.com/concordkit/concord/lock"
)

// Acquire implements lock.Backend.
func (b *Backend) Acquire(ctx context.Context, c lock.Claim, notify func(lock.State)) (lock.State, error) {
	if err := b.check(ctx, c); err != nil {
		return lock.State{}, fail("acquire", c, err)
	}
	if c.NoWait {
		fits, err := b.fitsNow(ctx, c)
		if err != nil {
			return lock.State{}, fail("acquire", c, refusal{err}) // nothing was written
		}
		if !fits {
			return lock.State{Phase: lock.Queued}, nil
		}
	}
	o := b.enlist(c)
	if !b.listen(o, notify) {
		return lock.State{Phase: lock.Gone}, nil
	}
	st, err := b.acquire(ctx, o)
	switch {
	case err == nil && st.Phase == lock.Gone:
		b.forget(o)
	case err == nil && st.Phase == lock.Queued && c.NoWait:
		_, err = b.Release(ctx, c) // somebody was faster
		return st, err
	}
	return st, fail("acquire", c, err)
}

// acquire puts o in line, or renews it, and returns where it then stands.
func (b *Backend) acquire(ctx context.Context, o *claim) (lock.State, error) {
	seq, err := b.write(ctx, o, nil)
	if err != nil {
		return lock.State{}, err
	}
	if seq == 0 {
		return lock.State{Phase: lock.Gone}, nil
	}
	b.mu.Lock()
	held, token := o.held, lock.Token(o.rec.order)
	b.mu.Unlock()
	if held {
		return lock.State{Phase: lock.Held, Token: token}, nil
	}
	return b.place(ctx, o, seq)
}

// place returns where o stands in its line, and has changes pushed to it. Its message with the sequence seq is stored.
func (b *Backend) place(ctx context.Context, o *claim, seq uint64) (lock.State, error) {
	l := b.followed(o)
	if l != nil {
		st, err := b.stand(ctx, l, o, seq)
		switch {
		case errors.Is(err, errStopped):
			l = nil // it lingered for too short a time for this link
		case err != nil:
			return lock.State{}, err
		case st.Phase != lock.Gone:
			return b.queue(o, nil, st, false), nil
		}
	}
	v, listed, err := b.look(ctx, o, seq)
	if err != nil {
		return lock.State{}, err
	}
	st, err := b.judge(v, o)
	if err != nil {
		return lock.State{}, err
	}
	if l != nil && st.Phase != lock.Gone {
		l.feed.reset() // it shows a bucket that was deleted, and made again
	}
	return b.queue(o, v, st, listed >= crowd), nil
}

// queue makes o wait for pushes if it has to, or follows the line for those to come.
func (b *Backend) queue(o *claim, v *view, st lock.State, busy bool) lock.State {
	waits := st.Phase == lock.Queued && !o.NoWait
	if (waits || busy && st.Phase == lock.Held) && !b.follow(o, v, waits) {
		return lock.State{Phase: lock.Gone}
	}
	return st
}

// look reads o's line until the answer is not older than the message with the sequence seq, which is o's. It also tells how
// many messages that took.
func (b *Backend) look(ctx context.Context, o *claim, seq uint64) (v *view, listed int, err error) {
	for pause := minPause / 10; ; pause = min(2*pause, maxPause) {
		ms, upTo, err := b.read(ctx, o.line+".*")
		if err != nil {
			return nil, 0, err
		}
		if v := newView(ms, upTo); v.upTo >= seq {
			return v, len(ms), nil
		}
		if !sleep(ctx, pause) {
			return nil, 0, context.Cause(ctx)
		}
	}
}

// catchUp is how long a claim that does not wait gives a replica that lags.
const catchUp = 250 * time.Millisecond

// fitsNow reports whether c could hold at once, or is in line already, as far as possible by a read that is not older than
// the call.
func (b *Backend) fitsNow(ctx context.Context, c lock.Claim) (bool, error) {
	line := lineOf(c)
	var now uint64
	start := time.Now()
	for pause := minPause / 10; ; pause = min(2*pause, maxPause) {
		ms, upTo, err := b.read(ctx, line+".*")
		if err != nil {
			return false, err
		}
		v := newView(ms, upTo)
		fits, err := v.admits(line, c)
		if s, _ := v.stands(line + "." + c.ID); s != absent {
			fits = true // an acquire that is repeated
		}
		if err != nil || fits || b.replicas() == 1 || now > 0 && upTo >= now || time.Since(start) > catchUp {
			return fits, err
		}
		// That a claim is in the way may be news of the past: a replica may lag. The leader knows how far.
		if now == 0 {
			s, err := b.js.Stream(ctx, b.stream)
			if err != nil {
				return false, err
			}
			now = s.CachedInfo().State.LastSeq
			continue
		}
		if !sleep(ctx, pause) {
			return false, context.Cause(ctx)
		}
	}
}
