package etcdlock

import (
	"context"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concordkit/concord/lock"
)

const (
	// near is how far from the head of its line a claim follows all that leaves it. Who stands further back follows one
	// claim that it cannot hold beside, that many places ahead: so a release in a long line tells few.
	near = 3
	// Pauses before a claim looks for itself after its watch broke; a watch that lasts earns a short one.
	minPause, maxPause = 20 * time.Millisecond, time.Second
)

// follow watches for a waiting p from where its line was read; b.mu is held.
func (b *Backend) follow(p *place) {
	if p.stop != nil || p.released || p.held {
		return
	}
	ctx, stop := context.WithCancel(clientv3.WithRequireLeader(b.cli.Ctx()))
	p.stop = stop
	go func() {
		defer stop()
		b.await(ctx, p)
	}()
}

// unfollow ends p's watch; b.mu is held.
func (p *place) unfollow() {
	if p.stop != nil {
		p.stop()
		p.stop = nil
	}
}

// await notifies p of its grant or end, or, when its watch breaks, of a need to look.
func (b *Backend) await(ctx context.Context, p *place) {
	start := time.Now()
	if b.approach(ctx, p) && b.settle(ctx, p) || !b.rest(ctx, p, time.Since(start)) {
		return
	}
	b.mu.Lock()
	live := ctx.Err() == nil
	if live {
		p.stop = nil // the renewal starts another one
	}
	notify := p.notify
	b.mu.Unlock()
	if live {
		notify(lock.State{})
	}
}

// approach waits until p is near the head of its line, or is not there any more. It reports false when its watch broke.
func (b *Backend) approach(ctx context.Context, p *place) bool {
	b.mu.Lock()
	guard, seen := p.guard(), p.seen
	b.mu.Unlock()
	if guard == "" {
		return true
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var r clientv3.WatchResponse
	select {
	case r = <-b.cli.Watch(ctx, p.key, clientv3.WithFilterPut(), clientv3.WithRev(seen+1)):
	case r = <-b.cli.Watch(ctx, guard, clientv3.WithFilterPut(), clientv3.WithRev(seen+1)):
	}
	return r.Err() == nil && len(r.Events) > 0
}

// guard returns the key of a claim without whose end p cannot hold, or none if p is near the head; b.mu is held. What
// leaves the line only helps those behind, so p cannot hold while it cannot hold beside that one alone.
func (p *place) guard() string {
	if len(p.ahead) == 0 {
		return "" // it holds
	}
	own, n := p.ahead[len(p.ahead)-1], 0
	for _, e := range slices.Backward(p.ahead[:len(p.ahead)-1]) {
		if holders([]entry{e, own}) == 2 {
			continue
		}
		if n++; n == near {
			return e.key
		}
	}
	return ""
}

// settle follows what leaves the line until p holds or has ended, and notifies it. It reports false when its watch broke:
// compacted away, without a leader, refused. Joining a line changes nothing for those who stand in it, so that is not
// followed.
//
// The watch begins now, and the line is read again if anything has been written since it was read: a server goes through
// what a watch has missed every 100 ms only.
func (b *Backend) settle(ctx context.Context, p *place) bool {
	changes := b.cli.Watch(ctx, p.line, clientv3.WithPrefix(), clientv3.WithFilterPut(), clientv3.WithCreatedNotify())
	for r := range changes {
		if r.Err() != nil || r.Created && !b.catchUp(ctx, p, r.Header.Revision) {
			return false
		}
		if st, notify := b.left(ctx, p, r); st.Phase != lock.Queued {
			notify(st)
			return true
		}
	}
	return false
}

// catchUp reads p's line unless it was read at the revision at or later.
func (b *Backend) catchUp(ctx context.Context, p *place, at int64) bool {
	b.mu.Lock()
	rev, current := p.rev, p.seen >= at || p.held
	b.mu.Unlock()
	if current {
		return true
	}
	r, err := b.cli.Get(ctx, p.line, clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithMaxCreateRev(rev))
	if err != nil {
		return false
	}
	line, err := decodeLine(p.line, r.Kvs)
	if err != nil {
		return false // a renewal says why
	}
	if b.stand(p, line, r.Header.Revision).Phase == lock.Gone {
		b.mu.Lock()
		defer b.mu.Unlock()
		p.ahead = nil
	}
	return true
}

// left applies deletions and returns where p stands then. One that is older than a claim with that key is of an earlier
// claim: stock keys come again.
func (b *Backend) left(ctx context.Context, p *place, r clientv3.WatchResponse) (lock.State, func(lock.State)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.held {
		return p.state(), p.notify
	}
	if ctx.Err() != nil {
		return lock.State{Phase: lock.Queued}, nil
	}
	for _, ev := range r.Events {
		key := string(ev.Kv.Key)
		p.ahead = slices.DeleteFunc(p.ahead, func(e entry) bool { return e.key == key && ev.Kv.ModRevision > e.rev })
	}
	p.seen = max(p.seen, r.Header.Revision)
	if n := len(p.ahead); n == 0 || p.ahead[n-1].key != p.key {
		p.unfollow()
		return lock.State{Phase: lock.Gone}, p.notify
	}
	return p.advance(), p.notify
}

// rest pauses after a watch that has lasted for a time and broke. It reports whether p still waits.
func (b *Backend) rest(ctx context.Context, p *place, lasted time.Duration) bool {
	b.mu.Lock()
	if lasted > maxPause {
		p.pause = 0
	}
	p.pause = min(max(2*p.pause, minPause), maxPause)
	pause := p.pause
	b.mu.Unlock()
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pause):
		return true
	}
}
