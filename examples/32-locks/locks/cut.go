package locks

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/concordkit/concord/lock"
)

// cuttable is a backend whose link can be lost for a while, to all that a holder sends: renewals and releases.
type cuttable struct {
	lock.Backend
	down atomic.Bool
}

var errCut = errors.New("no route to the server")

func (c *cuttable) cut()  { c.down.Store(true) }
func (c *cuttable) heal() { c.down.Store(false) }

// Renew implements lock.Backend.
func (c *cuttable) Renew(ctx context.Context, cs []lock.Claim) ([]lock.State, error) {
	if c.down.Load() {
		return make([]lock.State, len(cs)), errCut
	}
	return c.Backend.Renew(ctx, cs)
}

// Release implements lock.Backend.
func (c *cuttable) Release(ctx context.Context, cl lock.Claim) (bool, error) {
	if c.down.Load() {
		return false, errCut
	}
	return c.Backend.Release(ctx, cl)
}
