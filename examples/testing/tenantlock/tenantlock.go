// Package tenantlock is a backend of one's own: it gives each tenant of an application names to itself, on any engine.
//
//	acme := lock.New(tenantlock.New("acme", redislock.New(rdb, nil)), nil)
//
// The test beside it runs package locktest, which shows that it keeps every promise of [lock.Backend].
package tenantlock

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/concordkit/concord/lock"
)

// Backend keeps the leases of one tenant on the engine that it wraps, whose Info is its own.
type Backend struct {
	lock.Backend
	prefix string
}

// New returns a Backend for tenant on engine. Other users of the engine's names must come by way of this package too. An empty
// tenant is refused by every call that claims or watches. A name takes up to [lock.MaxName] bytes together with the
// tenant, which counts as it stands in the query of a URL.
func New(tenant string, engine lock.Backend) *Backend {
	// Escaped it has no slash, so that no prefix begins with another one.
	return &Backend{Backend: engine, prefix: url.QueryEscape(tenant) + "/"}
}

// own returns c with the tenant's own name. In a directory only that is renamed, since watchers see the names below it.
func (b *Backend) own(c lock.Claim) (lock.Claim, error) {
	name := &c.Name
	if c.Dir != "" {
		name = &c.Dir
	}
	switch {
	case b.prefix == "/":
		return c, fmt.Errorf("tenantlock: %w: empty tenant", lock.ErrInvalid)
	case len(b.prefix)+len(*name) > lock.MaxName:
		return c, fmt.Errorf("tenantlock: %w: %.40q… has %d bytes after %q: want at most %d in all",
			lock.ErrInvalid, *name, len(*name), b.prefix, lock.MaxName)
	}
	*name = b.prefix + *name
	return c, nil
}

// Acquire implements lock.Backend.
func (b *Backend) Acquire(ctx context.Context, c lock.Claim, notify func(lock.State)) (lock.State, error) {
	c, err := b.own(c)
	if err != nil {
		return lock.State{}, err
	}
	return b.Backend.Acquire(ctx, c, notify)
}

// Renew implements lock.Backend.
func (b *Backend) Renew(ctx context.Context, cs []lock.Claim) ([]lock.State, error) {
	owned := make([]lock.Claim, len(cs)) // cs is the caller's
	for i, c := range cs {
		var err error
		if owned[i], err = b.own(c); err != nil {
			return make([]lock.State, len(cs)), err
		}
	}
	return b.Backend.Renew(ctx, owned)
}

// Release implements lock.Backend.
func (b *Backend) Release(ctx context.Context, c lock.Claim) (bool, error) {
	c, err := b.own(c)
	if err != nil {
		return false, err
	}
	return b.Backend.Release(ctx, c)
}

// SetValue implements lock.Backend.
func (b *Backend) SetValue(ctx context.Context, c lock.Claim) (bool, error) {
	c, err := b.own(c)
	if err != nil {
		return false, err
	}
	return b.Backend.SetValue(ctx, c)
}

// Watch implements lock.Backend.
func (b *Backend) Watch(ctx context.Context, dir string, interval time.Duration, emit func([]lock.Holder)) error {
	c, err := b.own(lock.Claim{Dir: dir})
	if err != nil {
		return err
	}
	return b.Backend.Watch(ctx, c.Dir, interval, emit)
}
