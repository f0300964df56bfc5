package retry

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Attempts is the loop form of a [Policy], made by [Policy.Start]. It is for one goroutine and must not be copied once it is
// in use.
//
// Each attempt ends by Done. A loop that is left by break or return inside an attempt should have deferred Cancel, if the
// policy has a Timeout or a Trace: else the timer of that attempt runs on, for Timeout at most.
type Attempts struct {
	p      *Policy
	parent context.Context // of the caller
	ctx    context.Context // of the attempt
	err    error           // of the last attempt, or once the loop is over what Err returns
	rare   *rare           // what most calls do without
	n      int
	before time.Duration // the last wait
	phase  phase
	maybe  bool // an attempt may have been applied
}

// rare is the part of Attempts that is not on the stack.
type rare struct {
	mark   repetition // the context of attempts after the first
	cancel context.CancelFunc
	ended  func(error) // hook
	began  time.Time   // zero until somebody wants to know
}

type phase uint8

const (
	fresh phase = iota
	running
	failed
	over
)

// Start begins a loop of attempts. Nothing happens before the first Next.
func (p *Policy) Start(ctx context.Context) Attempts {
	if p == nil || p.o.Attempts == 0 { // also for a Policy that is not from New
		p = standard
	}
	return Attempts{p: p, parent: ctx, ctx: ctx}
}

// Next reports whether there is an attempt to make, and waits for its time. After an attempt without Done there is none,
// and Err says so.
func (a *Attempts) Next() bool {
	return a.phase != over && a.next() // the end of a loop that succeeded is inlined
}

func (a *Attempts) next() bool {
	switch a.phase {
	case fresh:
		if a.parent == nil || a.parent.Err() != nil {
			return a.refuse()
		}
	case failed:
		if !a.again() {
			return false
		}
	default:
		a.Cancel()
		return false
	}
	a.n++
	a.phase = running
	if !a.p.plain {
		a.arm()
	}
	return true
}

// refuse ends the loop before the first attempt.
func (a *Attempts) refuse() bool {
	if a.parent == nil {
		a.phase, a.err = over, fmt.Errorf("%w: nil context", ErrInvalid)
		return false
	}
	return a.stop(ContextEnded, Verdict{})
}

// arm calls the hook and sets the timeout.
func (a *Attempts) arm() {
	base := a.parent
	if a.n == 1 {
		a.rare = &rare{began: time.Now()}
	} else {
		base = &a.rare.mark
	}
	o := &a.p.o
	a.ctx, a.rare.ended = o.Trace.attempt(base, a.n)
	if o.Timeout == 0 {
		return
	}
	if deadline, ok := a.ctx.Deadline(); ok && time.Until(deadline) <= o.Timeout {
		return
	}
	a.ctx, a.rare.cancel = context.WithTimeout(a.ctx, o.Timeout)
}

// Number returns the number of the attempt, 1 for the first, 0 before it.
func (a *Attempts) Number() int { return a.n }

// Context returns the context of the attempt, which ends at its Timeout, and if it has one, at Done. Before the first
// attempt it is that of Start.
func (a *Attempts) Context() context.Context { return a.ctx }

// Done ends the attempt with its error; nil, which is success, ends the loop. A second Done of an attempt does nothing.
func (a *Attempts) Done(err error) {
	if a.phase != running {
		return
	}
	if err == nil && a.p.bare { // inlined
		a.phase = over
		return
	}
	a.done(err)
}

func (a *Attempts) done(err error) {
	if !a.p.plain {
		a.release(err)
	}
	a.err = err
	if err != nil {
		a.phase = failed
		return
	}
	a.phase = over
	if a.p.o.Budget != nil {
		a.p.o.Budget.Deposit()
	}
}

// Keep leaves the context of the attempt to the caller, who calls release when it is no longer needed: Done and Cancel do
// not end it, its Timeout still does. It is for results that live on it, such as the body of a response.
func (a *Attempts) Keep() (release context.CancelFunc) {
	if a.rare == nil || a.rare.cancel == nil {
		return func() {}
	}
	release, a.rare.cancel = a.rare.cancel, nil
	return release
}

// Cancel ends an attempt that has no Done, and the loop: it is for a defer. Otherwise it does nothing.
func (a *Attempts) Cancel() {
	if a.phase == running {
		a.abandon(fmt.Errorf("%w: attempt %d without Done", ErrInvalid, a.n))
	}
}

// panicked is Cancel for a func that does not return: it has panicked, or ended its goroutine.
func (a *Attempts) panicked() {
	if a.phase == running {
		a.abandon(errPanicked)
	}
}

func (a *Attempts) abandon(err error) {
	a.phase, a.err = over, err
	a.release(err)
}

// errPanicked is what hooks get as the error of an attempt whose func did not return.
var errPanicked = errors.New("retry: the func did not return: it panicked or ended its goroutine")

// release ends what arm began.
func (a *Attempts) release(err error) {
	r := a.rare
	if r == nil {
		return
	}
	if r.cancel != nil {
		r.cancel()
		r.cancel = nil
	}
	if r.ended != nil {
		r.ended(unmarked(err))
		r.ended = nil
	}
}

// Err ends the loop. It returns nil after an attempt that succeeded, and an [*Error] after the last one that failed, also where
// the loop was left early. Before the first Next, and within an attempt, it is an error that wraps [ErrInvalid].
func (a *Attempts) Err() error {
	if a.phase == over {
		return a.err
	}
	return a.left()
}

func (a *Attempts) left() error {
	switch a.phase {
	case fresh:
		return fmt.Errorf("%w: Err before Next", ErrInvalid)
	case running:
		a.Cancel()
	default:
		a.stop(LoopLeft, Verdict{})
	}
	return a.err
}

// again decides on another attempt, and waits for it.
func (a *Attempts) again() bool {
	o := &a.p.o
	j := o.judge(a.err)
	a.maybe = a.maybe || j.Applied != NotApplied
	if why := a.final(&j); why != 0 {
		return a.stop(why, j.Verdict)
	}
	if a.n == 1 && !a.deepen() {
		return a.stop(NestedRetry, j.Verdict)
	}
	wait := a.wait(&j)
	if why := a.fits(wait); why != 0 {
		return a.stop(why, j.Verdict)
	}
	if o.Budget != nil && !o.Budget.Withdraw() { // last, so that what is not retried takes nothing
		return a.stop(BudgetEmpty, j.Verdict)
	}
	if o.Trace != nil {
		o.Trace.wait(a.parent, Wait{Attempt: a.n, For: wait, Err: unmarked(a.err), Reason: j.Reason})
	}
	a.before = wait
	if !sleep(a.parent, wait) {
		return a.stop(ContextEnded, j.Verdict)
	}
	a.err = nil
	return true
}

// deepen makes the context of the attempts to come, and reports whether there may be any below those of other layers.
func (a *Attempts) deepen() bool {
	depth := Depth(a.parent)
	if depth > 0 && !a.p.o.Nested {
		return false
	}
	if a.rare == nil {
		a.rare = new(rare)
	}
	a.rare.mark = repetition{a.parent, depth + 1}
	a.ctx = &a.rare.mark
	return true
}

// final returns why there is no attempt after the last one, whatever the wait, or 0.
func (a *Attempts) final(j *judgement) StopCause {
	o := &a.p.o
	switch {
	case a.parent.Err() != nil:
		return ContextEnded
	case j.Decision == Stop:
		return PermanentError
	case j.open && !o.AwaitOpen:
		return BreakerOpen
	case o.Unsafe && j.Applied != NotApplied:
		return UnsafeRepeat
	case a.n >= o.Attempts:
		return OutOfAttempts
	case j.After > o.MaxRetryAfter:
		return RetryAfterTooLong
	}
	return 0
}

// wait returns the time to the next attempt.
func (a *Attempts) wait(j *judgement) time.Duration {
	o := &a.p.o
	if j.open { // whoever waits for a breaker wants to be there when it lets a probe through
		return j.After
	}
	d := o.delay(a.n, a.before)
	if j.After > 0 {
		d = max(d, o.later(j.After))
	}
	return d
}

// fits returns why a wait cannot end in time, or 0.
func (a *Attempts) fits(wait time.Duration) StopCause {
	deadline, bounded := a.parent.Deadline()
	if !bounded && wait == 0 && a.p.o.Elapsed == 0 {
		return 0
	}
	now := time.Now()
	if a.rare.began.IsZero() {
		a.rare.began = now
	}
	if bounded && deadline.Sub(now) <= wait {
		return PastDeadline
	}
	if a.p.o.Elapsed > 0 && now.Sub(a.rare.began) > a.p.o.Elapsed-wait {
		return OutOfTime
	}
	return 0
}

// sleep reports whether ctx has not ended in d.
func sleep(ctx context.Context, d time.Duration) bool {
	if d == 0 {
		return ctx.Err() == nil // a hook or a classifier may have taken its time
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil // both may be ready
	case <-ctx.Done():
		return false
	}
}

// stop ends the loop with an error, and returns false for Next.
func (a *Attempts) stop(why StopCause, v Verdict) bool {
	e := &Error{
		Attempts: a.n, Stop: why, Reason: v.Reason, Last: unmarked(a.err),
		notApplied: !a.maybe && why != LoopLeft, retryAfter: max(0, v.After),
	}
	switch why {
	case ContextEnded:
		e.cause, e.ended = context.Cause(a.parent), a.parent.Err()
	case BudgetEmpty:
		e.budget = a.p.o.Budget.Name()
	}
	if began := a.rare != nil && !a.rare.began.IsZero(); began || e.retryAfter > 0 {
		e.stopped = time.Now()
		if began {
			e.Elapsed = e.stopped.Sub(a.rare.began)
		}
	}
	a.phase, a.err = over, e
	if a.p.o.Trace != nil {
		a.p.o.Trace.stop(a.parent, e)
	}
	return false
}
