package election

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"github.com/concordkit/concord/lock"
)

// Watch follows who leads. It ends with the context that it was made with.
type Watch struct {
	holders *lock.Watch

	mu     sync.Mutex
	now    Leader
	newest Term
}

// Watch returns when it knows who leads, and follows that until ctx ends. It never goes back to an older term, also where
// a server does; after an engine has lost its data and begins its terms anew, make another Watch. Errors, then or later,
// are those of [lock.Locker.Watch]: [lock.ErrBlind] when the engine could not tell for the TTL of the Locker.
func (e *Election) Watch(ctx context.Context) (*Watch, error) {
	if err := e.usable(); err != nil {
		return nil, err
	}
	holders, err := e.locks.Watch(ctx, e.name)
	if err != nil {
		return nil, fmt.Errorf("election: %w", err)
	}
	return &Watch{holders: holders}, nil
}

// Leader returns who leads, the zero Leader if nobody does. It may be called after the watch has ended, and then returns
// what was known last.
func (w *Watch) Leader() Leader { return w.see(w.holders.Holders()) }

// see returns the leader in hs, or the one known if hs is older.
func (w *Watch) see(hs []lock.Holder) Leader {
	next := leaderOf(hs)
	w.mu.Lock()
	defer w.mu.Unlock()
	if next.Term == 0 || next.Term >= w.newest {
		w.now, w.newest = next, max(w.newest, next.Term)
	}
	return w.now
}

// All yields who leads at once and after every change, the zero Leader while nobody does; a loop that is slow skips leaders
// that were replaced meanwhile, never the last one. It ends when the loop breaks, or with one error, last: that of
// the watch, or of ctx, which ends only this loop. Several loops may run at once.
func (w *Watch) All(ctx context.Context) iter.Seq2[Leader, error] {
	return func(yield func(Leader, error) bool) {
		first, last := true, Leader{}
		for hs, err := range w.holders.All(ctx) {
			if err != nil {
				yield(Leader{}, fmt.Errorf("election: %w", err))
				return
			}
			now := w.see(hs)
			if now == last && !first {
				continue
			}
			if first, last = false, now; !yield(now, nil) {
				return
			}
		}
	}
}
