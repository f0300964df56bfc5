package etcdlock

import (
	"context"
	"slices"
	"time"

	"github.com/concordkit/concord/lock"
)

// place is what the Backend knows of a claim. Backend.mu guards it.
type place struct {
	claim      lock.Claim
	line, key  string
	notify     func(lock.State)
	session    *session // nil until an acquire was sent
	unanswered bool     // an acquire was sent, and what became of it is not known
	copies     bool     // copies of an answered acquire may be on their way
	released   bool
	rev        int64 // create revision, 0 until known
	held       bool

	// While it waits:
	guard string             // a claim without whose end it cannot hold, if it stands far back
	ahead []entry            // who stands before it, and itself, if it is near the head
	seen  int64              // the revision of that
	stop  context.CancelFunc // ends its watch; nil without one
	pause time.Duration      // before it asks to look after its watch broke
}

// newPlace makes a place for c; b.mu is held.
func (b *Backend) newPlace(c lock.Claim) *place {
	line := b.lineOf(c)
	p := &place{claim: c, line: line, key: line + leaf(c), notify: func(lock.State) {}}
	b.places[c.ID] = p
	return p
}

// drop forgets p, unless its ID has a new place; b.mu is held.
func (b *Backend) drop(p *place) {
	p.unfollow()
	if b.places[p.claim.ID] == p {
		delete(b.places, p.claim.ID)
	}
}

// state is under b.mu.
func (p *place) state() lock.State {
	if p.held {
		return lock.State{Phase: lock.Held, Token: lock.Token(p.rev)}
	}
	return lock.State{Phase: lock.Queued}
}

// stand applies a line and returns where p stands: Gone if it does not. b.mu is held.
func (p *place) stand(l *line) lock.State {
	i := slices.IndexFunc(l.entries, func(e entry) bool { return e.key == p.key && (p.rev == 0 || p.rev == e.rev) })
	if i < 0 {
		return lock.State{Phase: lock.Gone}
	}
	p.rev = l.entries[i].rev
	switch {
	case p.held || l.at < p.seen: // what has left since is known already
	case i < l.holding:
		p.hold()
	default:
		p.wait(l.entries[:i+1], l.at)
	}
	return p.state()
}

// hold makes p a holder; b.mu is held.
func (p *place) hold() {
	p.held, p.guard, p.ahead = true, "", nil
	p.unfollow()
}

// near is how far from the head of its line a claim follows all that leaves it. Who stands further back follows one
// claim, that many places ahead: so a release in a long line tells few.
const near = 3

// wait notes what p waits for, given the line up to it; b.mu is held.
//
// What leaves the line only helps those behind. So p cannot hold while there is a claim beside which alone it could not.
func (p *place) wait(upTo []entry, at int64) {
	p.seen, p.guard, p.ahead = at, "", nil
	own, n := upTo[len(upTo)-1], 0
	for _, e := range slices.Backward(upTo[:len(upTo)-1]) {
		if holders([]entry{e, own}) == 2 {
			continue
		}
		if n++; n == near {
			p.guard = e.key
			return
		}
	}
	p.ahead = slices.Clone(upTo)
}
