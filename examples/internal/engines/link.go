package engines

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/concordkit/concord/lock"
)

// Link is a backend that can be out of reach for a while, for all that one process sends to get, keep and end leases.
type Link struct {
	lock.Backend
	down atomic.Bool
}

var errCut = errors.New("no route to the server")

// Cut loses what is sent from now on.
func (l *Link) Cut() { l.down.Store(true) }

// Heal ends that.
func (l *Link) Heal() { l.down.Store(false) }

// Acquire implements lock.Backend.
func (l *Link) Acquire(ctx context.Context, c lock.Claim, notify func(lock.State)) (lock.State, error) {
	if l.down.Load() {
		return lock.State{}, errCut
	}
	return l.Backend.Acquire(ctx, c, notify)
}

// Renew implements lock.Backend.
func (l *Link) Renew(ctx context.Context, cs []lock.Claim) ([]lock.State, error) {
	if l.down.Load() {
		return make([]lock.State, len(cs)), errCut
	}
	return l.Backend.Renew(ctx, cs)
}

// Release implements lock.Backend.
func (l *Link) Release(ctx context.Context, c lock.Claim) (bool, error) {
	if l.down.Load() {
		return false, errCut
	}
	return l.Backend.Release(ctx, c)
}
