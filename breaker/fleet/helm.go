package fleet

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/concordkit/concord/breaker"
)

const (
	// The member that ends a generation writes it down at once, and others within spread, until enough have.
	spread = time.Second
	enough = 3
	// usualTTL is what a member takes for the Locker's TTL before its first lease.
	usualTTL = 15 * time.Second
)

// helm is what a member knows and means to do. Only the goroutine of run has it. What the member wants to hold it tells the
// slots, over and over: so nothing depends on the order in which things are heard, or on one of them getting through.
type helm struct {
	*Member
	now      time.Time
	wakeAt   time.Time // when there is something to do next, zero for never
	view     view
	size     peak      // the number of members
	closed   uint64    // the newest generation that has ended, as far as this member knows
	told     uint64    // the one that its lease is to show
	tellAt   time.Time // when it is to show closed
	cur      *opening  // what the fleet has open, as far as this member knows
	vote     *ballot
	leaving  bool
	leftAt   time.Time
	trips    []*order  // to open the fleet
	restores []*order  // that the store is yet to be told
	offer    *offer    // what the lease "open" is to show
	try      *try      // this member's probe
	rest     time.Time // before then it asks for no other one
}

// opening is a period in which the fleet is open.
type opening struct {
	openValue
	until  time.Time // the end of the open time
	bound  time.Time // how long it is kept without a word of the fleet
	missed time.Time // since when nobody has the lease "open", zero if somebody has
	held   time.Time // when the breaker was told last
}

// ballot is this member's vote.
type ballot struct {
	vote
	until time.Time
}

// offer is what this member shows, or wants to show, by the lease "open".
type offer struct {
	openValue
	members map[string]memberValue // that there were: one that joins needs to know what is left
}

// run steers until the member has left.
func (m *Member) run(transitions <-chan breaker.Transition) {
	h := &helm{Member: m}
	if s := m.b.Snapshot(); s.State == breaker.Open && s.Cause != breaker.Manual {
		h.ballot(s.Cause)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		h.steer()
		if h.leaving && h.mayGo() {
			h.leave()
			m.cancel()
		}
		var refused <-chan struct{}
		if h.mayProbe() {
			refused = m.b.Refused()
		}
		wait := longest
		if !h.wakeAt.IsZero() {
			wait = h.wakeAt.Sub(h.now)
		}
		timer.Reset(wait)
		leaves := m.leaves
		if h.leaving {
			leaves = nil
		}
		select {
		case <-m.wake:
		case t := <-transitions:
			h.hear(t)
		case o := <-m.asked:
			h.obey(o)
		case <-refused:
			h.askToProbe()
		case <-timer.C:
		case <-leaves:
			h.leaving, h.leftAt = true, time.Now()
		case <-m.life.Done():
			h.leave()
			return
		}
	}
}

// mayGo reports whether a member that leaves takes nothing along that the others need to know: that a generation has ended, how its
// probe ends, or that the fleet is open. It does not wait for long.
func (h *helm) mayGo() bool {
	opened := h.offer != nil && h.offer.Generation > h.closed && !h.at(h.leftAt.Add(spread))
	return h.at(h.leftAt.Add(2*spread)) || !opened && !h.isNews(h.told) && (h.try == nil || !h.try.running || h.try.passed)
}

// isNews reports whether no other member shows that a generation has ended, though there are others.
func (h *helm) isNews(generation uint64) bool {
	if generation == 0 || !h.view.live || len(h.view.members) < 2 {
		return false
	}
	for name, mv := range h.view.members {
		if name != h.self.claim.Name && mv.Closed >= generation {
			return false
		}
	}
	return true
}

// steer makes what the member does follow from what it knows. It may be called at any time, and any number of times.
func (h *helm) steer() {
	h.now, h.wakeAt = time.Now(), time.Time{}
	h.mu.Lock()
	h.view = h.Member.view
	h.mu.Unlock()
	h.size.see(h.view.nodes(), h.now, h.ttl())
	h.follow()
	h.steerProbe()
	h.steerOpen()
	h.steerSelf()
	h.show()
	h.steerOrders()
}

// at notes that there is something to do at t. It reports whether t has come.
func (h *helm) at(t time.Time) bool {
	if !h.now.Before(t) {
		return true
	}
	if h.wakeAt.IsZero() || t.Before(h.wakeAt) {
		h.wakeAt = t
	}
	return false
}

func (h *helm) ttl() time.Duration {
	if ttl := h.self.ttl(); ttl > 0 {
		return ttl
	}
	return usualTTL
}

// follow makes the breaker do what the fleet does.
func (h *helm) follow() {
	h.closed = max(h.closed, h.view.closed)
	if h.cur != nil && h.cur.Generation <= h.closed {
		h.end("fleet: closed", h.b.Restore)
	}
	if o := h.view.open; o != nil && h.view.live && o.Generation > h.closed {
		h.adopt(*o)
	}
	switch {
	case h.cur == nil:
	case h.at(h.keepUntil()):
		if h.view.live {
			h.closed = h.cur.Generation // nobody has it any more
		}
		h.end("fleet: no word", h.b.Probe)
	case h.at(h.cur.held.Add(longest/2)) && h.b.State() == breaker.Open:
		h.hold() // a breaker holds for 24 h
	}
}

// keepUntil returns until when the breaker is held open, as things are.
func (h *helm) keepUntil() time.Time {
	c := h.cur
	switch {
	case h.seesOpen():
		c.missed = time.Time{}
		return h.now.Add(longest)
	case !h.view.live:
		return c.bound
	case c.missed.IsZero():
		c.missed = h.now
	}
	if succeeded := c.missed.Add(h.ttl()); succeeded.After(c.bound) {
		return succeeded
	}
	return c.bound
}

// seesOpen reports whether somebody has the lease "open" for what this member takes for open.
func (h *helm) seesOpen() bool {
	return h.view.live && h.cur != nil && h.view.open != nil && h.view.open.Generation == h.cur.Generation
}

// adopt makes a period that the fleet shows that of the breaker, unless it is.
func (h *helm) adopt(v openValue) {
	left := time.Duration(min(max(v.LeftMS, 1), longest.Milliseconds())) * time.Millisecond
	until := h.view.at.Add(left)
	if c := h.cur; c != nil && !v.after(c.Generation, c.Period) {
		// What is left is told anew when somebody joins: this may be the one, and what it saw first was old.
		if !v.of(c) {
			return
		}
		c.Node = v.Node // a successor's
		if !until.Before(c.until.Add(-left / 16)) {
			return
		}
	}
	h.begin(v, until)
}

// begin makes a period that of the breaker.
func (h *helm) begin(v openValue, until time.Time) {
	ttl := h.ttl()
	h.cur = &opening{openValue: v, until: until, bound: until.Add(ttl - rand.N(ttl/2))}
	h.rest = time.Time{}
	h.hold()
	h.trace.opened(h.snapshot())
}

// hold keeps the breaker open, and its probes back.
func (h *helm) hold() {
	h.cur.held = h.now
	left := min(max(h.cur.until.Sub(h.now), shortest), longest)
	if err := h.b.Hold(fmt.Sprintf("fleet: by %s: %s", h.cur.Node, h.cur.Reason), left); err != nil {
		panic(err) // it is between the limits
	}
}

// end lets the breaker go.
func (h *helm) end(reason string, let func(string)) {
	let(reason)
	h.cur = nil
	h.trace.closed(h.snapshot())
}

// steerOpen holds the lease "open", or asks for it, where that is this member's part.
func (h *helm) steerOpen() {
	o := h.view.open
	mine := o != nil && o.Member == h.self.claim.Name
	switch {
	case !h.view.live || h.leaving && !mine: // it would not see how a probe ends
		h.offer = nil
	case h.offer != nil && h.offer.Generation <= h.closed && h.offer.Generation > h.view.closed:
		// It has ended, but the others cannot see that yet, and would succeed.
	case h.cur != nil && mine:
		if p := h.view.probe; p != nil && p.Failed && p.of(h.cur) {
			v := h.cur.openValue
			v.Period++
			h.begin(v, h.now.Add(h.openTime(v.Period)))
		}
		h.propose(h.cur.openValue, h.cur.until)
	case h.cur != nil && o == nil: // whoever had it is gone
		h.propose(h.cur.openValue, h.cur.until)
	case h.cur != nil || o != nil || h.closed >= lastGeneration:
		h.offer = nil
	case len(h.trips) > 0:
		h.propose(h.opening(h.trips[0].reason), h.now.Add(h.trips[0].d))
	case h.elected():
		h.propose(h.opening(h.vote.Cause), h.now.Add(h.openTime(0)))
	default:
		h.offer = nil
	}
	if h.offer == nil {
		h.open.set(nil)
		return
	}
	h.open.set(encode(h.offer.openValue))
}

// opening returns the first period of the next generation.
func (h *helm) opening(reason string) openValue {
	return openValue{Generation: h.closed + 1, Reason: reason}
}

// propose makes v what the lease "open" shows, with what is left of it, unless it shows that.
func (h *helm) propose(v openValue, until time.Time) {
	o := h.offer
	if o == nil || o.Generation != v.Generation || o.Period != v.Period || h.view.hasOthersThan(o.members) {
		v.Node, v.Member = h.o.Node, h.self.claim.Name
		v.LeftMS = max(until.Sub(h.now).Milliseconds(), 1)
		o = &offer{openValue: v}
	}
	o.members = h.view.members
	h.offer = o
}

// elected reports whether this member and enough others vote for the next generation.
func (h *helm) elected() bool {
	return h.vote != nil && h.vote.Generation == h.closed+1 && h.votes() >= h.o.needed(h.size.most)
}

func (h *helm) votes() int { return h.view.votes(h.closed + 1) }

// openTime returns how long a period is: it doubles from one to the next. One member probes for all, so jitter is of no use.
func (h *helm) openTime(period int) time.Duration {
	o := h.b.Options()
	d := o.OpenFor
	for ; period > 0 && d < o.MaxOpenFor; period-- {
		d = min(2*d, o.MaxOpenFor)
	}
	return d
}

// steerSelf keeps the member's own lease, with its vote.
func (h *helm) steerSelf() {
	if h.vote != nil && (h.vote.Generation <= h.closed || h.at(h.vote.until)) {
		h.vote = nil
	}
	if h.told < h.closed {
		if h.tellAt.IsZero() {
			h.tellAt = h.now.Add(rand.N(spread))
		}
		if h.vote != nil || h.at(h.tellAt) && h.view.knows(h.closed) < enough {
			h.tell()
		}
	}
	h.self.set(encode(h.value()))
}

// tell makes the member's lease show what has ended.
func (h *helm) tell() { h.told, h.tellAt = h.closed, time.Time{} }

func (h *helm) value() memberValue {
	v := memberValue{Node: h.o.Node, Closed: h.told}
	if h.vote != nil {
		v.Vote = &h.vote.vote
	}
	return v
}

// hear takes a transition of the breaker.
func (h *helm) hear(t breaker.Transition) {
	h.now = time.Now()
	switch {
	case h.try.hears(t):
		if h.try.Failed {
			h.probe.set(encode(h.try.probeValue))
			h.holdAfter()
		} else if h.try.done {
			h.closed = max(h.closed, h.try.Generation)
			h.tell()
		}
	case t.To == breaker.Open && t.Cause != breaker.Manual:
		h.ballot(t.Cause)
	case t.To == breaker.Closed || t.To == breaker.ForcedOpen || t.To == breaker.Disabled:
		h.vote = nil
		if t.Cause == breaker.Recovered && h.cur != nil { // by a probe that was not the fleet's
			h.hold()
		}
	}
}

// ballot makes the member vote for the next generation.
func (h *helm) ballot(c breaker.Cause) {
	h.vote = &ballot{vote{min(h.closed+1, lastGeneration), c.String()}, time.Now().Add(h.o.VoteTTL)}
}

// leave gives the breaker back to its own rules.
func (h *helm) leave() {
	if h.cur == nil || h.b.State() != breaker.Open {
		return
	}
	if left := time.Until(h.cur.until); left >= shortest {
		h.b.Trip("fleet: left", min(left, longest))
	} else {
		h.b.Probe("fleet: left")
	}
	h.cur = nil
}

// peak keeps the largest number of members within a TTL.
type peak struct {
	most, last int
	fell       time.Time // when it was the most for the last time
}

func (p *peak) see(n int, now time.Time, ttl time.Duration) {
	switch {
	case n >= p.most:
		p.most = n
	case p.last == p.most:
		p.fell = now
	case now.Sub(p.fell) > ttl:
		p.most = n
	}
	p.last = n
}
