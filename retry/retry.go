// Package retry repeats what failed, while that helps and no longer.
//
//	p, err := retry.New(&retry.Options{Attempts: 4, Timeout: 2 * time.Second})
//	if err != nil {
//		return err
//	}
//	err = p.Do(ctx, func(ctx context.Context) error { return client.Store(ctx, invoice) })
//
// [Value] is Do with a result. Where the work is not one func, the loop form is the same without a closure:
//
//	a := p.Start(ctx)
//	for a.Next() {
//		a.Done(store(a.Context(), invoice))
//	}
//	return a.Err()
//
// A nil *Policy is the default: three attempts, 100 ms and 200 ms apart before jitter. What failed is told by an [*Error]: the
// last error, how many attempts there were, and why there was no other.
//
// # What is retried
//
// An error is retried unless somebody says that it is in vain. Asked in this order: the func itself by [Permanent]
// and [After], [Options.Classify], and the error. An error speaks by methods, wherever in its tree they are, and
// needs no import for that:
//
//	RetryAfter() time.Duration  the next try is not sooner than that
//	NotApplied() bool           nothing was done, so repeating it does nothing twice
//	UnknownOutcome() bool       it may have been done
//
// Errors that are joined stand for several pieces of work: nothing was done where each of them says so. [AppliedOf] reads them.
//
// NotApplied with a RetryAfter above 0 is how an open circuit breaker refuses a call: that stops at once, or is waited for
// with [Options.AwaitOpen]. Work that must not be done twice is marked by [Options.Unsafe], and is repeated only where
// it was provably not done.
//
// # When it ends
//
// When the caller's context ends there is no further attempt, whatever the error says; an attempt that ran out of its own
// [Options.Timeout] is a failure like others. A wait that cannot end before the deadline of the context, or within
// [Options.Elapsed], is not begun: the last error comes back at once, while there is still time to do something else.
//
// # Many callers
//
// Retries are load, which comes when there is too much of it. Jitter spreads them; a [Budget] bounds them to a part of the
// calls that succeed, for one process ([NewBudget]) or for many together ([NewSharedBudget]). And layers add up, they do
// not multiply: attempts after the first carry a mark in their context, under which another Policy makes one attempt only
// (see [Depth]).
//
// [Hedge] is the other way to repeat: while the first attempt still runs, against the slow ones.
//
// # Costs
//
// A first try that succeeds reads no clock and allocates nothing, unless there is a Timeout, Elapsed or Trace. The first
// retry of a call allocates the context with the mark, a wait takes a timer, and a failure its Error. There is no goroutine
// but in a SharedBudget and a Hedge.
package retry

import (
	"context"
	"errors"
	"fmt"
)

// ErrInvalid reports bad input. The error that wraps it names the value and the rule.
var ErrInvalid = errors.New("retry: invalid")

// Policy says what is retried, when and how often. [New] makes it. It does not change, and its methods may be called
// concurrently. A nil *Policy is that of New(nil).
type Policy struct {
	o     Options
	plain bool // an attempt needs nothing but its context, and nobody wants to know when it began
	bare  bool // moreover, nobody wants to know that it succeeded
}

var standard, _ = New(nil) // there is nothing to refuse

// New returns a Policy. The first value of o that breaks its rule is an error that wraps [ErrInvalid].
func New(o *Options) (*Policy, error) {
	if o == nil {
		o = new(Options)
	}
	filled, err := o.filled()
	if err != nil {
		return nil, err
	}
	plain := filled.Elapsed == 0 && filled.Timeout == 0 && filled.Trace == nil
	return &Policy{o: filled, plain: plain, bare: plain && filled.Budget == nil}, nil
}

// Do calls fn until it succeeds or p gives up, and returns nil or an [*Error]. It is p.Do for those who have a policy that
// may be nil.
func Do(ctx context.Context, p *Policy, fn func(context.Context) error) error { return p.Do(ctx, fn) }

// Do calls fn until it succeeds or p gives up, and returns nil or an [*Error]. Without ctx or fn it returns an error that
// wraps [ErrInvalid]. fn runs on the caller's goroutine; what it panics with is passed on. It must use the context that it
// gets, which ends when fn returns if there is an [Options.Timeout].
func (p *Policy) Do(ctx context.Context, fn func(context.Context) error) error {
	if fn == nil {
		return fmt.Errorf("%w: Do with nil: want a func", ErrInvalid)
	}
	a := p.Start(ctx)
	defer a.panicked()
	for a.Next() {
		a.Done(fn(a.ctx))
	}
	return a.Err()
}

// Value is [Policy.Do] for a func with a result. The result is that of the last attempt, also with an error.
func Value[T any](ctx context.Context, p *Policy, fn func(context.Context) (T, error)) (v T, err error) {
	if fn == nil {
		return v, fmt.Errorf("%w: Value with nil: want a func", ErrInvalid)
	}
	a := p.Start(ctx)
	defer a.panicked()
	for a.Next() {
		v, err = fn(a.ctx)
		a.Done(err)
	}
	return v, a.Err()
}
