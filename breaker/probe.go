package breaker

import (
	"context"
	"time"
)

// probe is a call that was let through while half-open.
type probe struct {
	period *period
	done   func(error) // gobreaker's
	timer  *time.Timer
}

// probing is the key of a context's value within a probe of b.
type probing struct{ b *Breaker }

// beginProbe lets a call through if the engine has room for a probe.
func (b *Breaker) beginProbe(ctx context.Context) (call, error) {
	if ctx.Value(probing{b}) != nil { // it would wait for itself
		return call{}, nil
	}
	b.mu.Lock()
	p := b.period.Load()
	if p.state != HalfOpen && (p.state != Open || p.refuses(b.clock)) { // others have changed it meanwhile
		b.mu.Unlock()
		return b.begin(ctx)
	}
	b.why = why{cause: TimeOver}
	done, err := b.engine.Allow() // makes an open engine half-open
	p = b.period.Load()
	if err != nil {
		b.unlock()
		return call{}, b.refuse(ctx, p)
	}
	pr := &probe{period: p, done: done}
	b.unlock() // may run a hook, which is not the probe's time
	b.mu.Lock()
	pr.timer = time.AfterFunc(b.o.ProbeTimeout, func() { b.endProbe(pr, Failure, ProbeTimeout) })
	b.mu.Unlock()
	c := call{b: b, p: p, probe: pr}
	if b.o.Rules.SlowAfter > 0 {
		c.start = b.clock.now()
	}
	return c, nil
}

// endProbe tells the engine how a probe ended, unless the period in which it began is over or it has ended before.
func (b *Breaker) endProbe(pr *probe, out Outcome, failed Cause) {
	b.mu.Lock()
	defer b.unlock()
	pr.timer.Stop()
	if pr.done == nil || pr.period != b.period.Load() {
		return
	}
	b.why = why{cause: Recovered}
	if out == Failure {
		b.why = why{cause: failed}
	}
	pr.done(verdicts[out])
	pr.done = nil
}
