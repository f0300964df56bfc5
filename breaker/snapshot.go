package breaker

import "time"

// Snapshot is what a breaker knows at one time. Its counters are read one after the other while calls go on.
type Snapshot struct {
	Name   string
	State  State
	Seq    uint64 // of the last transition; 0 if there was none
	Cause  Cause  // of the state
	Reason string
	Since  time.Time // when the state began

	// OpenFor is the rest of the open time, if the State is Open. At 0 the next call is a probe, but after Hold.
	OpenFor time.Duration

	// Successes, Failures and Slow count calls of the window, if the State is Closed and a rate is looked at. Slow
	// calls are among the others.
	Successes, Failures, Slow uint64
	// Consecutive counts the failures since the last success, if the State is Closed.
	Consecutive int
	// InFlight counts the calls that run, if the State is Closed and Rules.InFlight is set.
	InFlight int
}

// State returns the state. An open breaker stays Open until a call comes after its open time.
func (b *Breaker) State() State { return b.period.Load().state }

// Snapshot returns the state, why it is so, and the counters.
func (b *Breaker) Snapshot() Snapshot {
	p := b.period.Load()
	s := Snapshot{
		Name: b.name, State: p.state, Seq: p.seq, Cause: p.cause, Reason: p.reason, Since: b.clock.time(p.since),
		Consecutive: int(p.consecutive.Load()), InFlight: int(p.inFlight.Load()),
	}
	if p.state == Open {
		s.OpenFor = b.clock.until(p.over)
	}
	if p.window != nil {
		e := p.window.epoch(b.clock.now())
		s.Successes, s.Failures, s.Slow = p.window.successes(e), p.window.failed.sum(e), p.window.slow.sum(e)
	}
	return s
}
