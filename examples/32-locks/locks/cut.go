package locks

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/concordkit/concord/lock"
)

// cuttable is a backend whose link can lose renewals, as a black hole in a network does.
type cuttable struct {
	lock.Backend
	down atomic.Bool
}

func (c *cuttable) cut() { c.down.Store(true) }

// Renew implements lock.Backend.
func (c *cuttable) Renew(ctx context.Context, cs []lock.Claim) ([]lock.State, error) {
	if c.down.Load() {
		return nil, errors.New("no route to the server")
	}
	return c.Backend.Renew(ctx, cs)
}
