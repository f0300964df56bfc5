package lock

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"
)

// Watch follows the holders in a directory. It ends with the context that it was made with.
type Watch struct {
	cancel context.CancelCauseFunc
	blind  *time.Timer   // cancels when the engine is silent for a TTL
	ttl    time.Duration // of the Locker
	done   chan struct{} // closed at the end

	mu      sync.Mutex
	known   bool
	holders []Holder
	changed chan struct{} // closed and replaced with every set
	err     error         // why it ended
}

// Watch returns when it knows who holds in dir, and follows that until ctx ends. Only claims with that Dir are seen,
// waiting ones are not.
//
// It fails, then or later, with [ErrBlind] when the engine could not tell for a TTL, with the engine's error when it
// cannot go on, and with [ErrClosed] after Close.
func (l *Locker) Watch(ctx context.Context, dir string) (*Watch, error) {
	if err := l.usable(); err != nil {
		return nil, err
	}
	if dir == "" {
		return nil, fmt.Errorf("%w: empty directory", ErrInvalid)
	}
	if err := checkName("directory", dir); err != nil {
		return nil, err
	}
	if err := ended(ctx); err != nil {
		return nil, fmt.Errorf("lock: watch %q: %w", dir, err)
	}
	run, cancel := context.WithCancelCause(ctx)
	w := &Watch{cancel: cancel, ttl: l.ttl, done: make(chan struct{}), changed: make(chan struct{})}
	w.blind = time.AfterFunc(l.ttl, func() { cancel(fmt.Errorf("%w for %v", ErrBlind, l.ttl)) })
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		cancel(nil)
		w.blind.Stop()
		return nil, fmt.Errorf("lock: watch %q: %w", dir, ErrClosed)
	}
	first := w.changed
	l.watches[w] = struct{}{}
	l.work.Go(func() { l.follow(run, w, dir) })
	l.mu.Unlock()
	select {
	case <-first:
		return w, nil
	case <-w.done:
		return nil, w.err
	}
}

// follow runs the backend's watch until it or ctx ends; a client library may not heed ctx.
func (l *Locker) follow(ctx context.Context, w *Watch, dir string) {
	_, err := await(l, ctx, HeedsContext, Claim{Dir: dir}, "watch", func() (any, error) {
		return nil, l.b.Watch(ctx, dir, l.ttl/renewals, w.set)
	})
	switch {
	case ctx.Err() != nil:
		err = fmt.Errorf("lock: watch %q: %w", dir, why(ctx))
	case err == nil: // an engine that gave up without a reason
		err = fmt.Errorf("lock: watch %q: %w", dir, ErrBlind)
	}
	l.mu.Lock()
	delete(l.watches, w)
	l.mu.Unlock()
	w.cancel(nil)
	w.mu.Lock()
	w.err = err
	w.blind.Stop()
	close(w.done)
	w.mu.Unlock()
}

// why returns the cause of the end of a watch's context, and that it was the context where that is the caller's.
func why(ctx context.Context) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, ErrBlind) || errors.Is(cause, ErrClosed) {
		return cause
	}
	return ended(ctx)
}

// set takes what the engine knows; the backend calls it one at a time.
func (w *Watch) set(hs []Holder) {
	slices.SortFunc(hs, func(a, b Holder) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Token, b.Token))
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return // too late
	}
	w.blind.Reset(w.ttl)
	if w.known && slices.EqualFunc(hs, w.holders, sameHolder) {
		return
	}
	w.known, w.holders = true, hs
	close(w.changed)
	w.changed = make(chan struct{})
}

func sameHolder(a, b Holder) bool {
	return a.Name == b.Name && a.ID == b.ID && a.Token == b.Token && a.Weight == b.Weight && bytes.Equal(a.Value, b.Value)
}

// Holders returns the newest set, sorted by name and token. Leave it unchanged. It may be called after the watch has
// ended, and then shows what was known last.
func (w *Watch) Holders() []Holder {
	hs, _ := w.now()
	return hs
}

func (w *Watch) now() ([]Holder, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.holders, w.changed
}

// All yields the newest set at once and after every change; a loop that is slow skips sets that were replaced meanwhile,
// never the last one. It ends when the loop breaks, or with one error, last: that of the watch, or of ctx, which ends
// only this loop. Several loops may run at once.
func (w *Watch) All(ctx context.Context) iter.Seq2[[]Holder, error] {
	return func(yield func([]Holder, error) bool) {
		for {
			hs, changed := w.now()
			if !yield(hs, nil) {
				return
			}
			select {
			case <-changed:
			case <-w.done:
				if _, last := w.now(); last != changed {
					continue // the last set came just before the end
				}
				yield(nil, w.err)
				return
			case <-ctx.Done():
				yield(nil, ended(ctx))
				return
			}
		}
	}
}
