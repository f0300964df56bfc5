package electiontest

import (
	"context"
	"sync"

	"github.com/concordkit/concord/lock"
)

// link is a Backend that can be cut off from its store, and remembers what was asked for.
type link struct {
	lock.Backend

	mu     sync.Mutex
	cut    bool
	claims []lock.Claim // of Acquire, in order
}

// set cuts the link or heals it. Requests that came to a cut link stay unanswered.
func (l *link) set(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
}

func (l *link) isCut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut
}

// last returns the newest claim that was asked for.
func (l *link) last() lock.Claim {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.claims[len(l.claims)-1]
}

// pass returns at once while the link is whole, and an error at the end of ctx otherwise.
func (l *link) pass(ctx context.Context) error {
	if !l.isCut() {
		return nil
	}
	<-ctx.Done()
	return lock.ErrUnknownOutcome
}

// Acquire implements lock.Backend.
func (l *link) Acquire(ctx context.Context, c lock.Claim, notify func(lock.State)) (lock.State, error) {
	l.mu.Lock()
	l.claims = append(l.claims, c)
	l.mu.Unlock()
	if err := l.pass(ctx); err != nil {
		return lock.State{}, err
	}
	return l.Backend.Acquire(ctx, c, func(st lock.State) {
		if !l.isCut() {
			notify(st)
		}
	})
}

// Renew implements lock.Backend.
func (l *link) Renew(ctx context.Context, cs []lock.Claim) ([]lock.State, error) {
	if err := l.pass(ctx); err != nil {
		return make([]lock.State, len(cs)), err
	}
	return l.Backend.Renew(ctx, cs)
}

// Release implements lock.Backend.
func (l *link) Release(ctx context.Context, c lock.Claim) (bool, error) {
	if err := l.pass(ctx); err != nil {
		return false, err
	}
	return l.Backend.Release(ctx, c)
}

// SetValue implements lock.Backend.
func (l *link) SetValue(ctx context.Context, c lock.Claim) (bool, error) {
	if err := l.pass(ctx); err != nil {
		return false, err
	}
	return l.Backend.SetValue(ctx, c)
}
