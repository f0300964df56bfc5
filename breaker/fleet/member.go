package fleet

import (
	"context"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"
)

// maxReason is the longest reason in bytes.
const maxReason = 1024

// Snapshot is what a member knows at one time.
type Snapshot struct {
	Fleet string
	Node  string // of this member
	Open  bool   // the fleet is open, as far as this member knows

	// Generation counts the openings of the fleet: it is that of the opening, or of the last one that has ended, 0 if there was
	// none.
	Generation uint64
	// Period counts the probes that have failed in this generation.
	Period int
	// By is the node that opened the fleet, or that succeeded to it, and Reason why it did.
	By, Reason string
	// OpenFor is the rest of the period. At 0 the fleet waits for the end of a probe, or for a call to probe with.
	OpenFor time.Duration

	Nodes  int  // in the fleet, with this one's: see [Options].Node
	Votes  int  // for the next generation
	Needed int  // votes that open it
	Voting bool // this member votes
	Blind  bool // this member cannot see the fleet, and goes by what it has seen last
}

// Snapshot returns what the member knows.
func (m *Member) Snapshot() Snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.shown
	if s.Open {
		s.OpenFor = max(time.Until(m.until), 0)
	}
	return s
}

// snapshot returns what helm knows.
func (h *helm) snapshot() Snapshot {
	s := Snapshot{
		Fleet: h.name, Node: h.o.Node, Generation: h.closed, Nodes: h.view.nodes(), Votes: h.votes(),
		Needed: h.o.needed(h.size.most), Voting: h.vote != nil, Blind: !h.view.live,
	}
	if c := h.cur; c != nil {
		s.Open, s.Generation, s.Period, s.By, s.Reason = true, c.Generation, c.Period, c.Node, c.Reason
		s.OpenFor = max(c.until.Sub(h.now), 0)
	}
	return s
}

// show publishes what helm knows.
func (h *helm) show() {
	s := h.snapshot()
	s.OpenFor = 0
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cur != nil {
		h.until = h.cur.until
	}
	h.shown = s
	if h.view.live {
		h.joined.Do(func() { close(h.known) })
	}
}

// Trip opens the whole fleet for d, 1 ms to 24 h, without a vote; then members probe as always. The reason is for people, at
// most 1024 bytes of UTF-8. It returns nil when this member sees the fleet open: it stays as it is if it was before. The error wraps
// [ErrInvalid], or the cause of the end of ctx or that the member has left; then the fleet is not opened, or only for a moment.
func (m *Member) Trip(ctx context.Context, reason string, d time.Duration) error {
	if d < shortest || d > longest {
		return fmt.Errorf("%w: Trip for %v: want %v to %v", ErrInvalid, d, shortest, longest)
	}
	if len(reason) > maxReason || !utf8.ValidString(reason) {
		return fmt.Errorf("%w: reason %.40q of %d bytes: want at most %d bytes of UTF-8", ErrInvalid, reason, len(reason), maxReason)
	}
	return m.order(ctx, "trip", &order{reason: reason, d: d})
}

// Restore closes the whole fleet: the breaker of this member at once, the others as soon as they hear of it. It returns nil when one
// of them has, or there is no other; that takes up to a second. It does nothing while the fleet is closed. The error wraps
// [ErrInvalid] or the cause of the end of ctx, or says that the member has left; the others then hear of it later, or not.
func (m *Member) Restore(ctx context.Context) error { return m.order(ctx, "restore", new(order)) }

// order is what somebody wants of the whole fleet.
type order struct {
	ctx    context.Context
	reason string
	d      time.Duration // to open it for, 0 to close it
	done   chan struct{} // closed when it is decided
	obeyed bool          // after done

	generation uint64 // that it has closed
}

func (m *Member) order(ctx context.Context, verb string, o *order) error {
	if ctx == nil {
		return fmt.Errorf("%w: %s with a nil context", ErrInvalid, verb)
	}
	o.ctx, o.done = ctx, make(chan struct{})
	fail := func(cause error) error { return fmt.Errorf("fleet: %s %q: %w", verb, m.name, cause) }
	select {
	case m.asked <- o:
	case <-ctx.Done():
		return fail(context.Cause(ctx))
	case <-m.life.Done():
		return fail(errLeft)
	}
	// Whether it was in time the member decides: what is told here is what it does.
	defer context.AfterFunc(ctx, m.notify)()
	select {
	case <-o.done:
	case <-m.life.Done():
		return fail(errLeft)
	}
	if !o.obeyed {
		return fail(context.Cause(ctx))
	}
	return nil
}

// obey takes an order.
func (h *helm) obey(o *order) {
	switch {
	case o.d > 0:
		h.trips = append(h.trips, o)
	case h.cur == nil:
		o.over(true)
	default:
		o.generation = h.cur.Generation
		h.restores = append(h.restores, o)
		h.closed = o.generation
		h.tell()
		h.end("fleet: restored by "+h.o.Node, h.b.Restore)
	}
}

// steerOrders drops the orders that are done and those that nobody waits for.
func (h *helm) steerOrders() {
	h.restores = slices.DeleteFunc(h.restores, func(o *order) bool {
		return o.over(h.view.closed >= o.generation && !h.isNews(o.generation))
	})
	h.trips = slices.DeleteFunc(h.trips, func(o *order) bool { return o.over(h.cur != nil) })
	if len(h.trips) == 0 && h.cur == nil && h.offer != nil && h.offer.Generation > h.closed && !h.elected() {
		// Nobody wants any more what this member has asked for. It may have got it, and others may have seen that.
		h.closed = max(h.closed, h.offer.Generation)
		h.tell()
		h.notify()
	}
}

// over decides the order if it was obeyed, or nobody waits any more, and reports whether it is decided.
func (o *order) over(obeyed bool) bool {
	if !obeyed && o.ctx.Err() == nil {
		return false
	}
	o.obeyed = obeyed
	close(o.done)
	return true
}
