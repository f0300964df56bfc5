// Package memlock keeps leases in the memory of this process: for tests, for programs of one process, and as the
// reference that the other engines are measured by.
//
// # Guarantees
//
// One holder within the process ([lock.Process]): claims of one [Backend] exclude each other, whichever Locker made
// them. Tokens are counted from 1 and shared by all names.
//
// # Limits
//
// Nothing is shared between processes, and nothing survives one. Values are limited to 64 KiB, as on Redis.
//
// # Keys
//
// None: names are compared as they are.
package memlock

import (
	"context"
	"sync"
	"time"

	"github.com/concordkit/concord/lock"
)

const maxValue = 64 << 10

// Backend keeps leases in memory. It is ready when New returns it, and holds one timer for each claim.
type Backend struct {
	mu       sync.Mutex
	lines    map[line][]*claim
	refused  map[string]*time.Timer // IDs that were released before they came
	token    lock.Token
	watchers map[string]map[chan struct{}]struct{} // by directory
	pushes   []func()                              // what unlock calls
}

type line struct{ dir, name string }

type claim struct {
	lock.Claim
	token  lock.Token
	notify func(lock.State)
	expiry *time.Timer // set once the claim has its place
}

// New returns an empty Backend.
func New() *Backend {
	return &Backend{
		lines:    make(map[line][]*claim),
		refused:  make(map[string]*time.Timer),
		watchers: make(map[string]map[chan struct{}]struct{}),
	}
}

// Info implements lock.Backend.
func (b *Backend) Info(context.Context) (lock.Info, error) {
	return lock.Info{Guarantee: lock.Process, Granularity: time.Nanosecond, MaxValue: maxValue, Heeds: lock.HeedsContext}, nil
}

// Acquire implements lock.Backend.
func (b *Backend) Acquire(_ context.Context, c lock.Claim, notify func(lock.State)) (lock.State, error) {
	b.mu.Lock()
	defer b.unlock()
	if b.refused[c.ID] != nil {
		return lock.State{Phase: lock.Gone}, nil
	}
	k := line{c.Dir, c.Name}
	if x := b.find(k, c.ID); x != nil {
		return x.renew(), nil
	}
	x := &claim{Claim: c, notify: notify}
	b.lines[k] = append(b.lines[k], x)
	b.grant(k)
	if x.token == 0 && c.NoWait {
		b.cut(k, x)
		return lock.State{Phase: lock.Queued}, nil
	}
	x.expiry = time.AfterFunc(c.TTL, func() { b.expire(k, x) })
	return x.state(), nil
}

// Renew implements lock.Backend.
func (b *Backend) Renew(_ context.Context, cs []lock.Claim) ([]lock.State, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	states := make([]lock.State, len(cs))
	for i, c := range cs {
		states[i] = b.find(line{c.Dir, c.Name}, c.ID).renew()
	}
	return states, nil
}

// Release implements lock.Backend.
func (b *Backend) Release(_ context.Context, c lock.Claim) (bool, error) {
	b.mu.Lock()
	defer b.unlock()
	k := line{c.Dir, c.Name}
	if x := b.find(k, c.ID); x != nil {
		x.expiry.Stop()
		b.remove(k, x)
		return true, nil
	}
	if b.refused[c.ID] == nil {
		b.refused[c.ID] = time.AfterFunc(c.TTL, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			delete(b.refused, c.ID)
		})
	}
	return false, nil
}

// SetValue implements lock.Backend.
func (b *Backend) SetValue(_ context.Context, c lock.Claim) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	x := b.find(line{c.Dir, c.Name}, c.ID)
	if x == nil || x.token == 0 {
		return false, nil
	}
	x.Value = c.Value
	b.hint(c.Dir)
	return true, nil
}

// Watch implements lock.Backend.
func (b *Backend) Watch(ctx context.Context, dir string, interval time.Duration, emit func([]lock.Holder)) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	hint := make(chan struct{}, 1)
	b.mu.Lock()
	if b.watchers[dir] == nil {
		b.watchers[dir] = make(map[chan struct{}]struct{})
	}
	b.watchers[dir][hint] = struct{}{}
	b.mu.Unlock()
	defer b.unwatch(dir, hint)
	for {
		emit(b.holders(dir))
		select {
		case <-hint:
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (b *Backend) unwatch(dir string, hint chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.watchers[dir], hint)
	if len(b.watchers[dir]) == 0 {
		delete(b.watchers, dir)
	}
}

func (b *Backend) holders(dir string) []lock.Holder {
	b.mu.Lock()
	defer b.mu.Unlock()
	var hs []lock.Holder
	for k, xs := range b.lines {
		for _, x := range xs {
			if k.dir == dir && x.token != 0 {
				hs = append(hs, lock.Holder{Name: x.Name, ID: x.ID, Token: x.token, Weight: x.Weight, Value: x.Value})
			}
		}
	}
	return hs
}
