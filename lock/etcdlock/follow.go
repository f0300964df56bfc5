package etcdlock

import (
	"context"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concordkit/concord/lock"
)

// Pauses before a claim looks for itself after its watch broke; a watch that lasts earns a short one.
const minPause, maxPause = 20 * time.Millisecond, time.Second

// follow watches for a waiting p; b.mu is held.
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
	for b.approach(ctx, p) {
		st, ok := b.arrive(ctx, p)
		if !ok {
			break
		}
		if st.Phase != lock.Queued {
			b.notifier(p)(st)
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
	b.mu.Unlock()
	if live {
		b.notifier(p)(lock.State{})
	}
}

func (b *Backend) notifier(p *place) func(lock.State) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return p.notify
}

// approach waits for the end of p's guard, or of p. It reports false when its watch broke: compacted away, without a leader,
// refused.
func (b *Backend) approach(ctx context.Context, p *place) bool {
	b.mu.Lock()
	guard, seen := p.guard, p.seen
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

// arrive follows what leaves the line and returns where p stands once it does not wait any more, or waits for another guard.
// It reports false when its watch broke. Joining a line changes nothing for those who stand in it, so that is not followed.
//
// The watch begins now, and the line is read again if anything has been written since it was read: a server goes through
// what a watch has missed every 100 ms only.
func (b *Backend) arrive(ctx context.Context, p *place) (lock.State, bool) {
	watch, stop := context.WithCancel(ctx)
	defer stop()
	for r := range b.cli.Watch(watch, p.line, clientv3.WithPrefix(), clientv3.WithFilterPut(), clientv3.WithCreatedNotify()) {
		var st lock.State
		var err error
		if r.Created {
			st, err = b.catchUp(ctx, p, r.Header.Revision)
		} else {
			st, err = b.left(p, r.Events), r.Err()
		}
		if err != nil {
			return st, false
		}
		if st.Phase != lock.Queued || b.guarded(p) {
			return st, true
		}
	}
	return lock.State{}, false
}

func (b *Backend) guarded(p *place) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return p.guard != ""
}

// catchUp reads p's line unless what is known of it is no older than a revision.
func (b *Backend) catchUp(ctx context.Context, p *place, at int64) (lock.State, error) {
	b.mu.Lock()
	st, rev, current := p.state(), p.rev, p.held || p.guard == "" && p.seen >= at
	b.mu.Unlock()
	if current {
		return st, nil
	}
	r, err := read(ctx, p.claim.TTL/tries, func(ctx context.Context) (*clientv3.GetResponse, error) {
		return b.cli.Get(ctx, p.line, clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithMaxCreateRev(rev))
	})
	if err != nil {
		return st, err
	}
	l, err := decodeLine(p.line, r.Kvs, r.Header.Revision)
	if err != nil {
		return st, err // a renewal says why
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return p.stand(l), nil
}

// left applies deletions and returns where p stands then. One that is older than a claim with that key is of an earlier
// claim: stock keys come again.
func (b *Backend) left(p *place, events []*clientv3.Event) lock.State {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.held || p.guard != "" {
		return p.state()
	}
	for _, ev := range events {
		key, rev := string(ev.Kv.Key), ev.Kv.ModRevision
		p.ahead = slices.DeleteFunc(p.ahead, func(e entry) bool { return e.key == key && rev > e.rev })
		p.seen = max(p.seen, rev)
	}
	switch n := len(p.ahead); {
	case n == 0 || p.ahead[n-1].key != p.key:
		return lock.State{Phase: lock.Gone}
	case holders(p.ahead) == n:
		p.hold()
	}
	return p.state()
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
	return sleep(ctx, pause)
}
