package lock

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
)

// Watch follows the holders in a directory. It ends with the context that it was made with.
type Watch struct {
	cancel context.CancelCauseFunc
	done   chan struct{} // closed at the end

	mu      sync.Mutex
	holders []Holder
	changed chan struct{} // closed and replaced with every set
	err     error         // why it ended
}

// Watch returns when it knows who holds in dir, and follows that until ctx ends. Only claims with that Dir are seen,
// waiting ones are not.
//
// It fails, then or later, when the engine could not tell for a TTL, with the engine's error, and with [ErrClosed]
// after Close.
func (l *Locker) Watch(ctx context.Context, dir string) (*Watch, error) {
	if l.err != nil {
		return nil, l.err
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
	w := &Watch{cancel: cancel, done: make(chan struct{}), changed: make(chan struct{})}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil, fmt.Errorf("lock: watch %q: %w", dir, ErrClosed)
	}
	first := w.changed
	l.watches[w] = struct{}{}
	l.start(func() { l.follow(run, w, dir) })
	l.mu.Unlock()
	select {
	case <-first:
		return w, nil
	case <-w.done:
		return nil, w.err
	case <-ctx.Done():
		return nil, fmt.Errorf("lock: watch %q: %w", dir, ended(ctx))
	}
}

func (l *Locker) follow(ctx context.Context, w *Watch, dir string) {
	err := l.b.Watch(ctx, dir, l.ttl, w.set)
	if ctx.Err() != nil {
		err = fmt.Errorf("lock: watch %q: %w", dir, ended(ctx))
	}
	l.mu.Lock()
	delete(l.watches, w)
	l.mu.Unlock()
	w.cancel(nil)
	w.mu.Lock()
	w.err = err
	w.mu.Unlock()
	close(w.done)
}

// set shows a new set; the backend calls it one at a time.
func (w *Watch) set(hs []Holder) {
	slices.SortFunc(hs, func(a, b Holder) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Token, b.Token))
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.holders = hs
	close(w.changed)
	w.changed = make(chan struct{})
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
