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
	near = 4
	// Pauses before a claim looks for itself after its watch broke; a watch that lasts earns a short one.
	minPause, maxPause = 20 * time.Millisecond, time.Second
)

// follow watches for a waiting p from where its line was read; b.mu is held.
func (b *Backend) follow(p *place) {
	if p.stop != nil || p.released || p.held {
		return
	}
	ctx, stop := context.WithCancel(b.cli.Ctx())
	p.stop = stop
	from, guard := p.seen+1, p.guard()
	go func() {
		defer stop()
		b.await(ctx, p, guard, from)
	}()
}

// unfollow ends p's watch; b.mu is held.
func (p *place) unfollow() {
	if p.stop != nil {
		p.stop()
		p.stop = nil
	}
}

// guard returns the key of a claim without whose end p cannot hold, or none if p is near the head; b.mu is held. What
// leaves the line only helps those behind, so p cannot hold while it cannot hold beside that one alone.
func (p *place) guard() string {
	own := p.ahead[len(p.ahead)-1]
	ahead, n := p.ahead[:len(p.ahead)-1], 0
	for _, e := range slices.Backward(ahead) {
		if holders([]entry{e, own}) == 2 {
			continue
		}
		if n++; n == near {
			return e.key
		}
	}
	return ""
}

// await notifies p of its grant or end, or, when its watch breaks, of a need to look.
func (b *Backend) await(ctx context.Context, p *place, guard string, from int64) {
	ctx = clientv3.WithRequireLeader(ctx)
	start := time.Now()
	if guard == "" || b.passes(ctx, p.key, guard, from) {
		if b.settles(ctx, p, from) {
			return
		}
	}
	if !b.rest(ctx, p, time.Since(start)) {
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

// passes waits until one of two keys is deleted, or reports that a watch broke.
func (b *Backend) passes(ctx context.Context, own, guard string, from int64) bool {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var r clientv3.WatchResponse
	select {
	case r = <-b.cli.Watch(ctx, own, clientv3.WithFilterPut(), clientv3.WithRev(from)):
	case r = <-b.cli.Watch(ctx, guard, clientv3.WithFilterPut(), clientv3.WithRev(from)):
	}
	return r.Err() == nil && len(r.Events) > 0
}

// settles follows what leaves the line until p holds or has ended, or reports that the watch broke: compacted away, without
// a leader, refused. Joining a line changes nothing for those who stand in it, so that is not followed.
func (b *Backend) settles(ctx context.Context, p *place, from int64) bool {
	for r := range b.cli.Watch(ctx, p.line, clientv3.WithPrefix(), clientv3.WithFilterPut(), clientv3.WithRev(from)) {
		if r.Err() != nil {
			return false
		}
		if st, notify := b.left(ctx, p, r.Events); st.Phase != lock.Queued {
			notify(st)
			return true
		}
	}
	return false
}

// left applies deletions. One that is older than a claim with that key is of an earlier claim: stock keys come again.
func (b *Backend) left(ctx context.Context, p *place, events []*clientv3.Event) (lock.State, func(lock.State)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if ctx.Err() != nil {
		return lock.State{Phase: lock.Queued}, nil
	}
	for _, ev := range events {
		key := string(ev.Kv.Key)
		p.ahead = slices.DeleteFunc(p.ahead, func(e entry) bool { return e.key == key && ev.Kv.ModRevision > e.rev })
	}
	if n := len(p.ahead); n == 0 || p.ahead[n-1].key != p.key {
		p.unfollow()
		return lock.State{Phase: lock.Gone}, p.notify
	}
	return p.settle(), p.notify
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
