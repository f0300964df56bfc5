package breaker

import (
	"sync/atomic"
	"time"
)

// period is the time between two changes of state. Each has counters of its own, so that a call that ends after its
// period is over counts for nothing, without a look at anything else.
type period struct {
	state   State
	seq     uint64
	cause   Cause
	reason  string
	since   instant
	over    instant       // end of the open time
	until   instant       // no call is let through before: over, or the end of the hold
	again   time.Duration // when to come back, where no time is known
	refusal *OpenError    // what refused calls get
	window  *window       // nil unless a rate is looked at

	refused atomic.Pointer[chan struct{}] // closed by the next call that is refused; nil while nobody waits for one

	_           [32]byte // what calls write has a cache line of its own
	consecutive atomic.Int64
	inFlight    atomic.Int64
	_           [48]byte
}

// newPeriod makes a period that begins now. Its caller holds b.mu, or nobody else has b.
func (b *Breaker) newPeriod(s State, w why) *period {
	p := &period{state: s, seq: b.log.seq, cause: w.cause, reason: w.reason, since: b.clock.now()}
	r := &b.o.Rules
	switch s {
	case Closed:
		if r.FailureRate > 0 || r.SlowAfter > 0 && r.SlowRate > 0 {
			p.window = newWindow(r, p.since)
		}
	case HalfOpen:
		p.again = min(b.o.OpenFor, b.o.ProbeTimeout)
	case Open:
		p.over = p.since + instant(w.openFor)
		p.until = p.over
		if w.held {
			p.until += instant(longest)
			p.again = min(b.o.OpenFor, b.o.ProbeTimeout)
		}
	case ForcedOpen:
		p.again = b.o.MaxOpenFor
	}
	p.refusal = &OpenError{Name: b.name, State: s, Cause: w.cause, Reason: w.reason, clock: b.clock, period: p}
	return p
}

// succeeded counts a success, and whether it was slow. It returns the rule that this breaks, 0 for none.
func (p *period) succeeded(r *Rules, now instant, slow bool) Cause {
	if p.consecutive.Load() != 0 {
		p.consecutive.Store(0)
	}
	if p.window == nil {
		return 0
	}
	e := p.window.epoch(now)
	p.window.success(e)
	if !slow {
		return 0
	}
	p.window.slow[e%buckets].add(e)
	return p.broken(r, e)
}

// failed counts a failure, and whether it was slow. It returns the rule that this breaks, 0 for none.
func (p *period) failed(r *Rules, now instant, slow bool) Cause {
	p.consecutive.Add(1)
	if p.window == nil {
		return p.broken(r, 0)
	}
	e := p.window.epoch(now)
	p.window.failed[e%buckets].add(e)
	if slow {
		p.window.slow[e%buckets].add(e)
	}
	return p.broken(r, e)
}

// broken returns the first rule that is broken, 0 if none is.
func (p *period) broken(r *Rules, e epoch) Cause {
	switch {
	case r.Consecutive > 0 && p.consecutive.Load() >= int64(r.Consecutive):
		return Consecutive
	case p.window == nil:
		return 0
	case p.window.failuresBreak(e):
		return FailureRate
	case p.window.slowsBreak(e):
		return SlowRate
	}
	return 0
}
