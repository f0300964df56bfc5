package fleet

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/concordkit/concord/breaker"
)

// patience is how long a member that has the lease "probe" waits for a call before it lets another one try.
const patience = time.Second

// withdrawReason marks the transition by which a member's breaker ceases to let a probe through.
const withdrawReason = "fleet: no call to probe with"

// try is this member's probe in a period, from when it asks for the lease.
type try struct {
	probeValue
	begun     time.Time // when the breaker was told, zero before
	armed     bool      // the breaker waits for a call
	running   bool      // a call is on its way
	withdrawn bool      // the breaker was told not to wait any more
	passed    bool      // no call came
	done      bool      // it has succeeded
}

// reason marks the transition by which a member's breaker begins to let the probe through.
func (t *try) reason() string {
	return fmt.Sprintf("fleet: probe of generation %d, period %d", t.Generation, t.Period)
}

// hears takes a transition and reports whether it belongs to the probe.
func (t *try) hears(tr breaker.Transition) bool {
	if t == nil || t.done || t.Failed {
		return false
	}
	manual := tr.Cause == breaker.Manual
	switch {
	case manual && tr.Reason == t.reason():
		t.armed = true
	case t.withdrawn && manual && tr.Reason == withdrawReason:
		t.passed = tr.From == breaker.Open
		t.Failed = !t.passed // a call had just begun, and nobody will know how it ends
	case !t.armed: // what was before
		return false
	case tr.To == breaker.HalfOpen:
		t.running = true
	case !t.running:
		return false
	case tr.To == breaker.Closed && !manual:
		t.done = true
	default: // also when somebody took the breaker in hand, and nobody knows how the call ended
		t.Failed = true
	}
	return true
}

// mayProbe reports whether this member should ask for the lease "probe" as soon as there is a call to probe with.
func (h *helm) mayProbe() bool {
	return h.try == nil && !h.leaving && h.seesOpen() && h.view.probe == nil && h.view.open.of(h.cur) &&
		h.at(h.cur.until) && h.at(h.rest) && h.b.State() == breaker.Open
}

func (h *helm) askToProbe() {
	h.try = &try{probeValue: probeValue{Node: h.o.Node, Generation: h.cur.Generation, Period: h.cur.Period}}
	h.probe.set(encode(h.try.probeValue))
}

// steerProbe goes on with this member's probe.
func (h *helm) steerProbe() {
	t := h.try
	if t == nil {
		return
	}
	switch {
	case t.passed:
		h.rest = h.now.Add(patience)
		h.stopTrying()
	case h.cur == nil || !t.of(h.cur):
		if t.begun.IsZero() || h.seenToBeOver(t) {
			h.stopTrying()
		}
	case t.begun.IsZero() && (h.probe.isTaken() || !h.seesOpen()):
		h.rest = h.now.Add(minPause/2 + rand.N(minPause)) // the view will show who has it
		h.stopTrying()
	case t.begun.IsZero() && h.view.probe != nil && h.view.probeID == h.probe.holds() && h.view.open.of(h.cur):
		// What this member has seen is as new as the lease, so nobody has probed in this period.
		t.begun = h.now
		h.b.Probe(t.reason())
		h.at(t.begun.Add(patience))
	case !t.begun.IsZero() && !t.withdrawn && !t.Failed && !t.done:
		wait := patience
		if t.running { // a probe that counts for nothing leaves the breaker half-open, maybe for ever
			wait += h.b.Options().ProbeTimeout
		}
		if h.at(t.begun.Add(wait)) {
			h.withdraw()
		}
	}
}

// seenToBeOver reports whether the directory shows that the period of t is over. Before it does, nobody else may have the lease
// "probe": it would take the period for one without a probe.
func (h *helm) seenToBeOver(t *try) bool {
	v := &h.view
	return !v.live || v.closed >= t.Generation || v.open != nil && v.open.after(t.Generation, t.Period)
}

// withdraw lets no probe through any more. Whether one has begun before, the transition will tell.
func (h *helm) withdraw() {
	h.try.withdrawn = true
	if err := h.b.Hold(withdrawReason, shortest); err != nil {
		panic(err) // it is between the limits
	}
	if h.b.State() == breaker.Open {
		return
	}
	h.rest = h.now.Add(patience) // its operator has the breaker, and no transition comes
	h.stopTrying()
}

func (h *helm) stopTrying() {
	h.try = nil
	h.probe.set(nil)
}

// holdAfter keeps the breaker open after a probe that has failed, until the fleet's next period begins.
func (h *helm) holdAfter() {
	if h.cur == nil || !h.try.of(h.cur) || h.b.State() != breaker.Open {
		return
	}
	h.cur.until = h.now.Add(h.openTime(h.cur.Period + 1))
	h.cur.bound = h.cur.until.Add(h.ttl())
	h.hold()
}
