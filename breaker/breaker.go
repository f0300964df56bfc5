// Package breaker stops calls to what is failing, so that callers fail at once instead of waiting, and what fails gets
// time to recover.
//
//	b, err := breaker.New("billing", nil)
//	if err != nil {
//		return err
//	}
//	err = b.Do(ctx, func(ctx context.Context) error { return client.Charge(ctx, invoice) })
//	if errors.Is(err, breaker.ErrOpen) { … } // nothing was sent; (*OpenError).RetryAfter says when to come back
//
// [Value] is Do with a result, [Breaker.Allow] is for calls that are not one func, and a [Set] keeps a breaker for each
// host or endpoint. httpbreaker and grpcbreaker wrap clients.
//
// # States
//
//	          a rule breaks                  the open time is over, and a call comes
//	closed ------------------> open ------------------------------------------------> half-open
//	   ^                        ^                                                      |   |
//	   |                        +--------- a probe fails, is slow or hangs ------------+   |
//	   +---------------------------------- as many probes as asked for succeed ------------+
//
// While it is closed, all calls pass and their outcomes are counted. While it is open, all are refused. While it is
// half-open, at most [Options.Probes] calls are let through, and the rest are refused. The open time grows with every
// probe that fails and is jittered, so that a thousand processes that opened together do not come back together.
//
// [Breaker.Trip], [Breaker.Hold], [Breaker.Probe] and [Breaker.Restore] move it along from outside, as a controller would:
// breaker/fleet is one, for a breaker that a whole fleet has.
// [Breaker.ForceOpen] and [Breaker.Disable] take it out of all that, until [Breaker.Reset].
//
// # What counts
//
// A call counts where it began: one that was let through before a change of state and ends after it changes nothing. An
// error is a failure unless [Options.Classify] says otherwise, or it is the refusal of another breaker ([ErrOpen]), which
// is neutral; so are a panic and [runtime.Goexit], which pass on to the caller's goroutine. An error after the caller's own
// context was cancelled is neutral and counts for nothing, since it tells of the caller. A deadline that has passed is a
// failure.
//
// # Costs
//
// A call through a closed breaker takes no lock and allocates nothing: it reads a pointer, and adds one to a counter in
// a window of sharded atomics. A refusal reads the clock. The states are those of gobreaker, which is called only where
// the state changes. There is no goroutine; a probe has a timer.
package breaker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/sony/gobreaker/v2"
)

// ErrInvalid reports bad input. The error that wraps it names the value and the rule.
var ErrInvalid = errors.New("breaker: invalid")

// Breaker guards one thing that may fail. [New] makes it. Its methods may be called concurrently, also from hooks.
type Breaker struct {
	name   string
	o      Options
	clock  clock
	period atomic.Pointer[period] // what a call reads

	mu     sync.Mutex // held for changes of state, never while anything of the caller runs
	engine *gobreaker.TwoStepCircuitBreaker[struct{}]
	why    why // of the change that the engine is about to make
	streak int // how often it has opened without having closed between
	log    log
}

// New returns a closed Breaker. The name is shown in errors, logs and traces, and may be any string.
func New(name string, o *Options) (*Breaker, error) {
	if o == nil {
		o = new(Options)
	}
	filled, err := o.filled()
	if err != nil {
		return nil, err
	}
	return newBreaker(name, filled), nil
}

func newBreaker(name string, o Options) *Breaker {
	b := &Breaker{name: name, o: o, clock: newClock(), log: newLog()}
	b.engine = b.newEngine()
	b.period.Store(b.newPeriod(Closed, why{}))
	return b
}

// Name returns the name that [New] got.
func (b *Breaker) Name() string { return b.name }

// Options returns what [New] got, with the defaults filled in and 0 where something is off.
func (b *Breaker) Options() Options { return b.o }

// Do calls fn, which gets ctx, and returns its error. If the breaker refuses the call, fn is not called and the error is an
// [*OpenError]; if ctx has ended, fn is not called and the error wraps that of ctx. fn runs on the caller's goroutine; what it
// panics with is passed on. A call within a probe, by the context that fn gets, is part of it.
func (b *Breaker) Do(ctx context.Context, fn func(context.Context) error) error {
	if ctx == nil || fn == nil {
		return fmt.Errorf("%w: Do with nil: want a context and a func", ErrInvalid)
	}
	if err := ctx.Err(); err != nil { // nothing would be learnt of what is called
		return fmt.Errorf("breaker: call of %q: %w", b.name, err)
	}
	c, err := b.begin(ctx)
	if err != nil {
		return err
	}
	if c.probe != nil {
		ctx = context.WithValue(ctx, probing{b}, true)
	}
	out := Failure // what a panic or Goexit leaves
	defer func() { c.end(out) }()
	err = fn(ctx)
	out = b.outcome(ctx, err)
	return err
}

// Value is [Breaker.Do] for a func with a result. One breaker serves any number of types.
func Value[T any](ctx context.Context, b *Breaker, fn func(context.Context) (T, error)) (v T, err error) {
	if b == nil || fn == nil {
		return v, fmt.Errorf("%w: Value with nil: want a Breaker and a func", ErrInvalid)
	}
	err = b.Do(ctx, func(ctx context.Context) (err error) {
		v, err = fn(ctx)
		return err
	})
	return v, err
}
