package breaker

import (
	"context"
	"time"
)

// call is one that was let through.
type call struct {
	b     *Breaker
	p     *period // in which it began
	probe *probe  // nil unless it is one
	start instant // if slow calls are looked for
}

// begin lets a call through or returns the *OpenError that refuses it. The common case comes first and is lock-free.
func (b *Breaker) begin(ctx context.Context) (call, error) {
	p := b.period.Load()
	if p.state == Closed {
		c := call{b: b, p: p}
		if b.o.Rules.InFlight > 0 && p.inFlight.Add(1) > int64(b.o.Rules.InFlight) {
			p.inFlight.Add(-1)
			b.trip(p, InFlight)
			return b.begin(ctx)
		}
		if b.o.Rules.SlowAfter > 0 {
			c.start = b.clock.now()
		}
		return c, nil
	}
	if p.refuses(b.clock) {
		return call{}, b.refuse(ctx, p)
	}
	if p.state == Disabled {
		return call{b: b, p: p}, nil
	}
	return b.beginProbe(ctx)
}

// refuses reports whether the period lets no call through, whatever the engine says.
func (p *period) refuses(c clock) bool {
	return p.state == ForcedOpen || p.state == Open && c.now() < p.until
}

func (b *Breaker) refuse(ctx context.Context, p *period) error {
	if c := p.refused.Load(); c != nil && p.refused.CompareAndSwap(c, nil) {
		close(*c)
	}
	b.o.Trace.refuse(ctx, p.refusal)
	return p.refusal
}

// end counts the call.
func (c *call) end(out Outcome) {
	b, p := c.b, c.p
	if b == nil { // within a probe
		return
	}
	after := b.o.Rules.SlowAfter
	var now instant
	if p.window != nil || after > 0 { // reading the clock is most of what a call costs
		now = b.clock.now()
	}
	slow := after > 0 && time.Duration(now-c.start) > after
	if c.probe != nil {
		if slow && out == Success {
			out = Failure
		}
		b.endProbe(c.probe, out, ProbeFailed)
		return
	}
	if p.state == Disabled {
		return
	}
	if b.o.Rules.InFlight > 0 {
		p.inFlight.Add(-1)
	}
	var broken Cause
	switch out {
	case Success:
		broken = p.succeeded(&b.o.Rules, now, slow)
	case Failure:
		broken = p.failed(&b.o.Rules, now, slow)
	}
	if broken != 0 {
		b.trip(p, broken)
	}
}
