package etcdlock

import (
	"context"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concordkit/concord/lock"
)

// place is what the Backend knows of a claim. Backend.mu guards it.
type place struct {
	claim     lock.Claim
	line, key string
	notify    func(lock.State)
	session   *session // nil until an acquire was sent
	open      bool     // an acquire was sent and its answer is not known
	released  bool
	rev       int64 // create revision, 0 until known
	held      bool
	ahead     []entry            // while it waits: who stands before it, and itself
	seen      int64              // the revision at which ahead was read
	stop      context.CancelFunc // ends its watch; nil without one
	pause     time.Duration      // before it asks to look after its watch broke
}

// newPlace makes a place for c; b.mu is held.
func (b *Backend) newPlace(c lock.Claim) *place {
	line := b.line(c)
	p := &place{claim: c, line: line, key: line + leaf(c)}
	b.places[c.ID] = p
	return p
}

// state is under b.mu.
func (p *place) state() lock.State {
	if p.held {
		return lock.State{Phase: lock.Held, Token: lock.Token(p.rev)}
	}
	return lock.State{Phase: lock.Queued}
}

// stand applies the line as read at a revision, and returns where p stands: Gone if it does not.
func (b *Backend) stand(p *place, line []entry, at int64) lock.State {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(line, func(e entry) bool { return e.key == p.key && (p.rev == 0 || p.rev == e.rev) })
	if i < 0 {
		return lock.State{Phase: lock.Gone}
	}
	p.rev = line[i].rev
	if !p.held {
		p.ahead, p.seen = line[:i+1], at
	}
	return p.settle()
}

// settle makes p a holder if there is room for it and all before it; b.mu is held.
func (p *place) settle() lock.State {
	if !p.held && holders(p.ahead) == len(p.ahead) {
		p.held, p.ahead = true, nil
		p.unfollow()
	}
	return p.state()
}

// drop forgets p, unless its ID has a new place; b.mu is held.
func (b *Backend) drop(p *place) {
	p.unfollow()
	if b.places[p.claim.ID] == p {
		delete(b.places, p.claim.ID)
	}
}

// follow watches the line of a waiting p from where it was read; b.mu is held.
func (b *Backend) follow(p *place) {
	if p.stop != nil || p.released || p.held {
		return
	}
	ctx, stop := context.WithCancel(b.cli.Ctx())
	p.stop = stop
	go func() {
		defer stop()
		b.await(ctx, p, p.seen+1)
	}()
}

// unfollow ends p's watch; b.mu is held.
func (p *place) unfollow() {
	if p.stop != nil {
		p.stop()
		p.stop = nil
	}
}

// Pauses before a claim looks for itself after its watch broke; one that lasts earns a short one.
const minPause, maxPause = 20 * time.Millisecond, time.Second

// await notifies p of its grant or end, or, when the watch breaks, of a need to look. Joining a line changes nothing for
// those who stand in it, so only what leaves it is watched.
func (b *Backend) await(ctx context.Context, p *place, from int64) {
	start := time.Now()
	for r := range b.cli.Watch(clientv3.WithRequireLeader(ctx), p.line, clientv3.WithPrefix(), clientv3.WithFilterPut(), clientv3.WithRev(from)) {
		if r.Err() != nil {
			break // compacted, no leader, refused
		}
		if st, notify := b.left(ctx, p, r.Events); st.Phase != lock.Queued {
			notify(st)
			return
		}
	}
	b.mu.Lock()
	if time.Since(start) > maxPause {
		p.pause = 0
	}
	p.pause = min(max(2*p.pause, minPause), maxPause)
	pause := p.pause
	b.mu.Unlock()
	select {
	case <-ctx.Done():
		return
	case <-time.After(pause):
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
