package breaker

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/sony/gobreaker/v2"
)

// why is what a change of state comes from.
type why struct {
	cause   Cause
	reason  string
	openFor time.Duration // 0 means by the rule
	held    bool          // what comes after openFor is not a probe
}

// What the engine is told, by outcome.
var (
	errFailed  = errors.New("failed")
	errIgnored = errors.New("ignored")
	verdicts   = [...]error{Success: nil, Failure: errFailed, Ignore: errIgnored}
)

var stateOf = [...]State{
	gobreaker.StateClosed: Closed, gobreaker.StateHalfOpen: HalfOpen, gobreaker.StateOpen: Open,
}

// newEngine returns a closed gobreaker. It hears of no call while it is closed, but of the one that opens it; it is asked
// for probes, and counts them. All its calls are made under b.mu, so callbacks come in order.
func (b *Breaker) newEngine() *gobreaker.TwoStepCircuitBreaker[struct{}] {
	return gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests: uint32(b.o.Probes),
		// The open time differs each time, so the gate keeps it; when it asks, the engine's must be over. 0 would be a
		// minute.
		Timeout:       1,
		ReadyToTrip:   func(gobreaker.Counts) bool { return true },
		IsExcluded:    func(err error) bool { return err == errIgnored },
		OnStateChange: func(_ string, _, to gobreaker.State) { b.enter(stateOf[to], b.why) },
	})
}

// trip opens the breaker if p is still its period.
func (b *Breaker) trip(p *period, c Cause) {
	b.mu.Lock()
	defer b.unlock()
	if b.period.Load() == p {
		b.open(why{cause: c})
	}
}

// open makes the engine open. The caller holds b.mu.
func (b *Breaker) open(w why) {
	if b.period.Load().state != Closed { // gobreaker opens by a failure while closed
		b.engine = b.newEngine()
	}
	b.why = w
	if done, err := b.engine.Allow(); err == nil {
		done(errFailed)
	}
}

// enter begins a period. The caller holds b.mu.
func (b *Breaker) enter(to State, w why) {
	from := b.period.Load().state
	switch {
	case to == Open && from == HalfOpen && w.cause != Manual:
		b.streak++
	case to == Closed || to.held():
		b.streak = 0
	}
	if to == Open && w.openFor == 0 {
		w.openFor = b.o.openTime(b.streak)
	}
	b.log.seq++
	p := b.newPeriod(to, w)
	b.period.Store(p)
	b.log.add(Transition{
		Name: b.name, Seq: p.seq, From: from, To: to, Cause: w.cause, Reason: w.reason,
		At: b.clock.time(p.since), OpenFor: w.openFor,
	}, b.o.Trace != nil && b.o.Trace.Transition != nil)
}

// openTime returns how long to stay open after so many failed rounds of probes.
func (o *Options) openTime(streak int) time.Duration {
	d := o.OpenFor
	for ; streak > 0 && d < o.MaxOpenFor; streak-- {
		d = min(2*d, o.MaxOpenFor)
	}
	return max(shortest, d+time.Duration(o.Jitter*(2*rand.Float64()-1)*float64(d)))
}
