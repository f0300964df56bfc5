package breaker

import "time"

// Trip opens the breaker for d, 1 ms to 24 h, or for the usual open time if d is 0; then calls are let through as probes.
// If it is open already, d begins anew. The reason is for people. It does nothing while the breaker is forced open or
// disabled. An error wraps ErrInvalid.
func (b *Breaker) Trip(reason string, d time.Duration) error {
	return b.openFor(why{cause: Manual, reason: reason, openFor: d})
}

// Hold is Trip for a controller that decides who probes, and when: after d calls are still refused, until Probe or Restore,
// or for 24 h. [Breaker.Refused] tells whether there is a call to probe with.
func (b *Breaker) Hold(reason string, d time.Duration) error {
	return b.openFor(why{cause: Manual, reason: reason, openFor: d, held: true})
}

func (b *Breaker) openFor(w why) error {
	if w.openFor != 0 {
		if err := within("open time", w.openFor, shortest, longest); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.unlock()
	if !b.period.Load().state.held() {
		b.open(w)
	}
	return nil
}

// Refused returns a channel that is closed when the next call is refused. Ask again after a transition: calls close only what
// was asked for in the state in which they are refused.
func (b *Breaker) Refused() <-chan struct{} {
	p := b.period.Load()
	for {
		if c := p.refused.Load(); c != nil {
			return *c
		}
		c := make(chan struct{})
		p.refused.CompareAndSwap(nil, &c)
	}
}

// Probe ends the open time within 1 ms: the next calls are probes. It does nothing unless the breaker is open.
func (b *Breaker) Probe(reason string) {
	b.mu.Lock()
	defer b.unlock()
	p := b.period.Load()
	if p.state == Open && b.clock.until(p.until) > shortest {
		b.open(why{cause: Manual, reason: reason, openFor: shortest})
	}
}

// Restore closes the breaker, as probes that succeed would. It does nothing while it is closed, forced open or disabled.
func (b *Breaker) Restore(reason string) {
	b.mu.Lock()
	defer b.unlock()
	if s := b.period.Load().state; s == Open || s == HalfOpen {
		b.replace(Closed, reason)
	}
}

// Reset closes the breaker whatever its state, and forgets all calls. It is what ends ForceOpen and Disable.
func (b *Breaker) Reset(reason string) { b.force(Closed, reason) }

// ForceOpen makes the breaker refuse all calls until Reset or Disable.
func (b *Breaker) ForceOpen(reason string) { b.force(ForcedOpen, reason) }

// Disable makes the breaker let all calls through and count none, until Reset or ForceOpen.
func (b *Breaker) Disable(reason string) { b.force(Disabled, reason) }

func (b *Breaker) force(s State, reason string) {
	b.mu.Lock()
	defer b.unlock()
	b.replace(s, reason)
}

// replace puts the breaker into a state that the engine would not go to by itself. The caller holds b.mu.
func (b *Breaker) replace(s State, reason string) {
	b.engine = b.newEngine()
	b.enter(s, why{cause: Manual, reason: reason})
}
