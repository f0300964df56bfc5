package memlock

import (
	"slices"

	"github.com/concordkit/concord/lock"
)

// What stands here runs under b.mu.

func (b *Backend) find(k line, id string) *claim {
	for _, x := range b.lines[k] {
		if x.ID == id {
			return x
		}
	}
	return nil
}

// grant gives a token to every claim that fits and has none.
func (b *Backend) grant(k line) {
	xs := b.lines[k]
	cs := make([]lock.Claim, len(xs))
	for i, x := range xs {
		cs[i] = x.Claim
	}
	for _, x := range xs[:lock.Fits(cs)] {
		if x.token != 0 {
			continue
		}
		b.token++
		x.token = b.token
		if x.expiry != nil { // not the one that is asking: it is told by the answer
			b.push(x, x.state())
		}
		b.hint(k.dir)
	}
}

// cut takes x out of its line.
func (b *Backend) cut(k line, x *claim) {
	b.lines[k] = slices.DeleteFunc(b.lines[k], func(y *claim) bool { return y == x })
	if len(b.lines[k]) == 0 {
		delete(b.lines, k)
	}
}

// remove takes x out of its line and lets the next ones in.
func (b *Backend) remove(k line, x *claim) {
	b.cut(k, x)
	if x.token != 0 {
		b.hint(k.dir)
	}
	b.grant(k)
}

func (b *Backend) expire(k line, x *claim) {
	b.mu.Lock()
	defer b.unlock()
	if b.find(k, x.ID) != x {
		return
	}
	b.remove(k, x)
	b.push(x, lock.State{Phase: lock.Gone})
}

// hint wakes the watchers of dir; a watcher that is awake already looks once more.
func (b *Backend) hint(dir string) {
	for w := range b.watchers[dir] {
		select {
		case w <- struct{}{}:
		default:
		}
	}
}

func (b *Backend) push(x *claim, st lock.State) {
	b.pushes = append(b.pushes, func() { x.notify(st) })
}

// unlock lets go of b.mu and then pushes, since a notify may run hooks that come back here.
func (b *Backend) unlock() {
	pushes := b.pushes
	b.pushes = nil
	b.mu.Unlock()
	for _, push := range pushes {
		push()
	}
}

// renew gives x a fresh TTL. A claim whose timer has fired and waits for the mutex is dead and stays so.
func (x *claim) renew() lock.State {
	if x != nil && !x.expiry.Reset(x.TTL) {
		x.expiry.Stop()
		x = nil
	}
	return x.state()
}

func (x *claim) state() lock.State {
	switch {
	case x == nil:
		return lock.State{Phase: lock.Gone}
	case x.token == 0:
		return lock.State{Phase: lock.Queued}
	}
	return lock.State{Phase: lock.Held, Token: x.token}
}
