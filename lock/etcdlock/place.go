package etcdlock

import (
	"context"
	"slices"
	"time"

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
	seen      int64              // the revision of ahead
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
	if !p.held && at >= p.seen { // else what has left since is known already
		p.ahead, p.seen = line[:i+1], at
	}
	return p.advance()
}

// advance makes p a holder if there is room for it and all before it; b.mu is held.
func (p *place) advance() lock.State {
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
