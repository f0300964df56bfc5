package lock

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Lease is a claim that was granted. Its methods may be called concurrently.
type Lease struct {
	l        *Locker
	claim    Claim
	ctx      leaseContext
	cancel   context.CancelCauseFunc
	granted  chan struct{}
	deadline atomic.Int64  // when the lease counts as lost, in nanoseconds since l.base
	expiry   *time.Timer   // ends the lease at deadline, whatever is on the wire
	done     chan struct{} // closed when outcome is set
	outcome  error         // what Release returns

	// Guarded by l.mu. The token is settled once granted is closed.
	phase Phase // Unknown until the first answer
	token Token
	value []byte        // what watchers are to see, claim.Value at first
	early State         // what was pushed before the first answer
	again bool          // a push before the first answer asked to look
	asked time.Duration // when the last request was sent
	since time.Duration // when the grant was heard of
	due   time.Duration // when to renew
	hold  func(error)   // the hook's end, nil before the grant
	grace chan struct{} // closed by Release; nil unless a lost lease is yet to be let go of
}

// newLease opens a lease for c. The deadline counts from now, before anything is sent. It returns nil after Close.
func (l *Locker) newLease(ctx context.Context, c Claim) *Lease {
	s := &Lease{l: l, claim: c, value: c.Value, granted: make(chan struct{}), done: make(chan struct{}), due: never}
	s.ctx.s = s
	s.ctx.Context, s.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	life := c.TTL - l.marginOf(c)
	s.deadline.Store(int64(l.now() + life))
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.leases[s] = struct{}{}
	// Under the mutex, since the timer's function looks at s.expiry.
	s.expiry = time.AfterFunc(life, s.expire)
	l.work.Add(1) // until it has ended and the server was told
	return s
}

func (l *Locker) marginOf(c Claim) time.Duration {
	if l.margin > 0 {
		return min(l.margin, c.TTL/3)
	}
	return max(c.TTL/50, minMargin)
}

// Context returns the context to do the protected work in. It carries the values of the context that acquired the lease,
// not its end: it ends before anyone else can hold, with a cause that is [ErrLost] or [ErrReleased] for errors.Is.
func (s *Lease) Context() context.Context { return &s.ctx }

// Token returns the fencing token of the grant. Pass it along with every write, so that the resource can refuse those
// of an earlier holder.
func (s *Lease) Token() Token { return s.token }

// Claim returns the claim that was granted, with its defaults filled in and the value that was set last.
func (s *Lease) Claim() Claim {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	return s.current()
}

// current returns the claim as it is now; l.mu is held.
func (s *Lease) current() Claim {
	c := s.claim
	c.Value = s.value
	return c
}

// Expires returns the instant at which the lease counts as lost unless it is renewed before: TTL after the last
// acknowledged request was sent, less the margin. It moves with each renewal.
func (s *Lease) Expires() time.Time { return s.l.base.Add(time.Duration(s.deadline.Load())) }

// SetValue shows value to watchers of the claim's directory from now on. It returns [ErrLost] or [ErrReleased] when the
// lease has ended, [ErrInvalid] for a value longer than the engine takes, and [ErrUnknownOutcome] when the answer was
// lost or ctx ended first. Calls for one lease at the same time are applied in an unknown order.
func (s *Lease) SetValue(ctx context.Context, value []byte) error {
	if err := ended(ctx); err != nil {
		return s.claim.fail("set the value of", err)
	}
	if s.ctx.Err() != nil {
		return s.claim.fail("set the value of", context.Cause(&s.ctx))
	}
	if err := s.l.info.Load().fitValue(value); err != nil {
		return err
	}
	if !s.l.enter() {
		return s.claim.fail("set the value of", ErrClosed)
	}
	defer s.l.work.Done()
	s.l.mu.Lock()
	s.value = value
	c := s.current()
	s.l.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(&s.ctx, func() { cancel(context.Cause(&s.ctx)) })()
	held, err := await(s.l, ctx, HeedsContext, c, "set the value of", func() (bool, error) { return s.l.b.SetValue(ctx, c) })
	switch {
	case err == nil && !held:
		err = c.fail("set the value of", ErrLost)
		s.end(err, Held)
	case err != nil && s.ctx.Err() != nil:
		err = c.fail("set the value of", fmt.Errorf("%w: %w", context.Cause(&s.ctx), err))
	}
	return err
}

// Release ends the lease and lets the next one in. The lease's context ends first, then the server is told, for at most
// the time that the lease had left.
//
// It returns [ErrLost] if the lease was lost before. Any other error means that the server could not be told: it is
// tried again in the background, and the lease ends with its TTL at the latest. Later calls return the same.
func (s *Lease) Release() error {
	if s.end(ErrReleased, Held) {
		s.outcome = s.release()
		close(s.done)
		s.l.work.Done()
	}
	s.stopped()
	<-s.done
	return s.outcome
}

// stopped ends the grace of a lease that was lost: whoever releases it has stopped working under it.
func (s *Lease) stopped() {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	if s.grace != nil {
		close(s.grace)
		s.grace = nil
	}
}

func (s *Lease) release() error {
	left := time.Duration(s.deadline.Load()) - s.l.now()
	ctx, stop := context.WithTimeout(context.WithoutCancel(&s.ctx), left)
	defer stop()
	was, err := await(s.l, ctx, HeedsDeadline, s.claim, "release", func() (bool, error) { return s.l.b.Release(ctx, s.claim) })
	switch {
	case err != nil:
		s.l.abandon(&s.ctx, s.claim, 0, nil)
		return err
	case !was:
		return s.claim.fail("release", ErrLost)
	}
	return nil
}

// ask sends the claim, with the values of the context traced, and acts on the first answer.
func (s *Lease) ask(traced context.Context) {
	sent := s.l.now()
	st, err := s.l.b.Acquire(&request{leaseContext: &s.ctx, values: traced, deadline: s.Expires()}, s.claim, s.notify)
	switch {
	case err != nil:
		s.end(err, Held)
	case st.Phase == Gone:
		s.end(s.claim.fail("acquire", ErrLost), Held)
	case st.Phase == Queued && s.claim.NoWait:
		s.end(s.claim.fail("acquire", ErrHeld), Held)
	default:
		if st.Phase == Queued {
			s.l.trace.queued(traced, s.claim)
		}
		s.hear(sent, st)
	}
}

// begin makes a granted lease the caller's, unless it has ended already.
func (s *Lease) begin(ctx context.Context) bool {
	if !s.holds(nil) {
		return false
	}
	hold := s.l.trace.hold(ctx, s.claim)
	if !s.holds(hold) {
		hold(context.Cause(&s.ctx))
		return false
	}
	return true
}

// holds reports whether the lease is held, and keeps what is to be called at its end.
func (s *Lease) holds(hold func(error)) bool {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	s.hold = hold
	return s.phase == Held
}

// end ends the lease once, unless it has come further than the phase most, and reports whether it ended by this call and
// for this cause.
//
// However it ends, but for a release that says so itself, the server is told in the background: an answer that was lost
// or late may have left a claim there that keeps the next one out.
func (s *Lease) end(cause error, most Phase) bool {
	l := s.l
	l.mu.Lock()
	if s.phase == Gone || s.phase > most {
		l.mu.Unlock()
		return false
	}
	late := s.phase == Held && l.now() >= time.Duration(s.deadline.Load())
	if late { // the timer would have said so in a moment
		cause = s.claim.fail("keep", ErrLost)
	}
	s.phase = Gone
	delete(l.leases, s)
	hold := s.hold
	var over chan struct{}
	if hold != nil && cause != ErrReleased { // somebody works under it, and has the margin to stop in
		over = make(chan struct{})
		s.grace = over
	}
	s.expiry.Stop()
	s.cancel(cause) // under the mutex: whoever sees Gone sees the cause
	l.mu.Unlock()
	if hold != nil {
		hold(cause)
	}
	if cause == ErrReleased {
		return true
	}
	s.outcome = cause
	close(s.done)
	if errors.Unwrap(cause) != ErrHeld { // ask's own: a claim that does not wait left no trace
		var grace time.Duration
		if over != nil {
			grace = l.marginOf(s.claim)
		}
		l.abandon(&s.ctx, s.claim, grace, over)
	}
	l.work.Done()
	return !late
}

// expire runs when the deadline has come that was set when the timer was; a renewal may have moved it.
func (s *Lease) expire() {
	s.l.mu.Lock()
	phase, left := s.phase, time.Duration(s.deadline.Load())-s.l.now()
	if phase != Gone && left > 0 {
		s.expiry.Reset(left)
	}
	s.l.mu.Unlock()
	switch {
	case left > 0:
	case phase == Unknown:
		s.end(s.claim.fail("acquire", fmt.Errorf("%w: no answer within the TTL, %v", ErrUnknownOutcome, s.claim.TTL)), Held)
	default:
		s.end(s.claim.fail("keep", fmt.Errorf("%w: not renewed within %v", ErrLost, s.claim.TTL)), Held)
	}
}

// leaseContext is a context that ends with the lease, and by the clock: in a process that was stopped, Err tells the truth
// even before the timer has run. Contexts derived from it hear of it from the timer.
type leaseContext struct {
	context.Context
	s *Lease
}

// Err implements context.Context.
func (c *leaseContext) Err() error {
	if c.Context.Err() == nil && c.s.l.now() >= time.Duration(c.s.deadline.Load()) {
		c.s.expire()
	}
	return c.Context.Err()
}

// request is the context of an acquire on the wire: it ends with the lease, at the latest by the deadline that the lease
// had then, and carries the values of a hook.
type request struct {
	*leaseContext
	values   context.Context
	deadline time.Time
}

// Deadline implements context.Context.
func (r *request) Deadline() (time.Time, bool) { return r.deadline, true }

// Value implements context.Context.
func (r *request) Value(key any) any { return r.values.Value(key) }

// AfterFunc spares contexts that are derived from r a goroutine.
func (r *request) AfterFunc(f func()) (stop func() bool) { return context.AfterFunc(r.leaseContext, f) }
