package natslock

import (
	"context"
	"sync"

	"github.com/concordkit/concord/lock"
)

// Renew implements lock.Backend.
func (b *Backend) Renew(ctx context.Context, cs []lock.Claim) ([]lock.State, error) {
	states := make([]lock.State, len(cs))
	errs := make([]error, len(cs))
	var all sync.WaitGroup
	for i, c := range cs {
		all.Go(func() {
			if errs[i] = b.check(ctx, c); errs[i] == nil {
				states[i], errs[i] = b.renew(ctx, c)
			}
		})
	}
	all.Wait()
	for i, err := range errs {
		if err != nil {
			return states, fail("renew", cs[i], err)
		}
	}
	return states, nil
}

func (b *Backend) renew(ctx context.Context, c lock.Claim) (lock.State, error) {
	o := b.own(c)
	if o == nil {
		return lock.State{Phase: lock.Gone}, nil // this process has not acquired it, or knows of its end
	}
	st, err := b.acquire(ctx, o)
	if err == nil && st.Phase == lock.Gone {
		b.forget(o)
	}
	return st, err
}
