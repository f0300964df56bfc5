package lock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Options configure [New]. A nil *Options means the defaults.
type Options struct {
	// TTL is how long a lease outlives its holder, from MinTTL to MaxTTL. It is renewed every third of that, so an
	// engine must answer within two thirds of it. It defaults to 15 s.
	TTL time.Duration
	// Margin is how long before the end of its TTL a lease counts as lost, at most a third of the TTL: time to stop
	// work, and room for clocks that run at different rates. It defaults to 2 % of the TTL and at least 10 ms.
	Margin time.Duration
	// Trace observes the Locker. Nil observes nothing and costs nothing.
	Trace *Trace
}

// Locker hands out leases that live in a [Backend]. Its methods may be called concurrently. New makes one. It has no
// goroutine while it only holds leases: a timer for each that ends it, and one that renews them all.
type Locker struct {
	b      Backend
	ttl    time.Duration
	margin time.Duration // 0: the default for each claim
	trace  *Trace
	err    error     // what New found wrong
	base   time.Time // all instants count from here, on the monotonic clock
	info   atomic.Pointer[Info]
	life   context.Context // ends with Close
	die    context.CancelCauseFunc
	work   sync.WaitGroup // what Close awaits: calls, leases that have not ended, and what runs for either
	idle   chan struct{}  // closed when all that is done

	mu      sync.Mutex // guards what follows and the leases; never held while waiting or calling out
	leases  map[*Lease]struct{}
	watches map[*Watch]struct{}
	timer   *time.Timer   // runs renew at wake
	wake    time.Duration // never while the timer is off
	closed  bool
}

const (
	defaultTTL = 15 * time.Second
	minMargin  = 10 * time.Millisecond // timers on a loaded machine are late by a few milliseconds
	never      = time.Duration(math.MaxInt64)
)

// New returns a Locker that keeps its leases in b. It does no I/O. Bad options are reported by every later call.
func New(b Backend, o *Options) *Locker {
	if o == nil {
		o = new(Options)
	}
	l := &Locker{
		b:       b,
		ttl:     cmp.Or(o.TTL, defaultTTL),
		margin:  o.Margin,
		trace:   o.Trace,
		base:    time.Now(),
		leases:  make(map[*Lease]struct{}),
		watches: make(map[*Watch]struct{}),
		idle:    make(chan struct{}),
		wake:    never,
	}
	l.life, l.die = context.WithCancelCause(context.Background())
	l.err = checkTTL(l.ttl)
	if o.Margin < 0 || o.Margin > l.ttl/3 {
		l.err = fmt.Errorf("%w: margin %v: want 0 to a third of the TTL, %v", ErrInvalid, o.Margin, l.ttl/3)
	}
	return l
}

// Acquire waits until it holds name alone and returns the lease. Waiters are served in the order of their arrival.
//
// When ctx ends first, its error is returned at once and the claim is withdrawn in the background; [Locker.Close] waits
// for that. Other errors: [ErrInvalid], [ErrClosed], [ErrCorrupt], [ErrLost] when the place in line could not be kept,
// [ErrBlind] when the engine has not even said what it is, [ErrUnknownOutcome] with the engine's own error; after any of
// them the claim is withdrawn too.
func (l *Locker) Acquire(ctx context.Context, name string) (*Lease, error) {
	return l.Claim(ctx, Claim{Name: name})
}

// TryAcquire is Acquire without waiting: it returns [ErrHeld] when others hold name or wait for it.
func (l *Locker) TryAcquire(ctx context.Context, name string) (*Lease, error) {
	return l.Claim(ctx, Claim{Name: name, NoWait: true})
}

// Claim waits until it holds c and returns the lease: the full form of [Locker.Acquire]. Dir and Name may be any UTF-8
// of up to MaxName bytes, not both empty.
func (l *Locker) Claim(ctx context.Context, c Claim) (*Lease, error) {
	c, err := l.prepare(c)
	if err != nil {
		return nil, err
	}
	traced, done := l.trace.acquire(ctx, c)
	s, err := l.claim(ctx, traced, c)
	done(err)
	return s, err
}

// claim asks for c with the values of the context traced, and makes a lease with those of ctx.
func (l *Locker) claim(ctx, traced context.Context, c Claim) (*Lease, error) {
	if err := ended(ctx); err != nil {
		return nil, c.fail("acquire", err)
	}
	if !l.enter() {
		return nil, c.fail("acquire", ErrClosed)
	}
	defer l.work.Done()
	info, err := l.admit(ctx, c)
	if err != nil {
		return nil, err
	}
	s := l.newLease(ctx, c)
	if s == nil {
		return nil, c.fail("acquire", ErrClosed)
	}
	if info.Heeds == HeedsContext || info.Heeds == HeedsDeadline && ctx.Done() == nil {
		stop := context.AfterFunc(ctx, func() { s.end(c.fail("acquire", ended(ctx)), Queued) })
		s.ask(traced)
		stop()
	} else {
		l.work.Go(func() { s.ask(traced) })
	}
	select {
	case <-s.granted:
	case <-s.ctx.Done():
	case <-ctx.Done():
		s.end(c.fail("acquire", ended(ctx)), Held)
	}
	if s.begin(ctx) {
		return s, nil
	}
	err = context.Cause(&s.ctx)
	if err == ErrReleased { // by Close, at the instant of the grant
		err = c.fail("acquire", ErrClosed)
	}
	return nil, err
}

// admit checks c against the engine's Info, which is asked for until it is known.
func (l *Locker) admit(ctx context.Context, c Claim) (*Info, error) {
	if info := l.info.Load(); info != nil {
		return info, info.fit(c)
	}
	ask, stop := context.WithTimeout(ctx, c.TTL)
	defer stop()
	defer context.AfterFunc(l.life, stop)()
	info, err := await(l, ask, HeedsNothing, c, "acquire", func() (Info, error) { return l.b.Info(ask) })
	switch {
	case err == nil:
		l.info.Store(&info)
		return &info, info.fit(c)
	case ctx.Err() != nil:
		return nil, c.fail("acquire", ended(ctx))
	case l.life.Err() != nil:
		return nil, c.fail("acquire", ErrClosed)
	case ask.Err() != nil:
		return nil, c.fail("acquire", fmt.Errorf("%w within the TTL, %v", ErrBlind, c.TTL))
	}
	return nil, err
}

// Do runs fn while it holds name, and releases it when fn returns or panics. The context of fn ends when ctx ends or the
// lease does, whichever comes first.
//
// Do returns fn's error, joined with [ErrLost] if the lease was lost before fn returned. A release that could not reach
// the server is no error: fn's work was covered, and the lease ends with its TTL.
func (l *Locker) Do(ctx context.Context, name string, fn func(context.Context, *Lease) error) (err error) {
	s, err := l.Acquire(ctx, name)
	if err != nil {
		return err
	}
	// A child of the lease's context ends with it at once; that of ctx may come a moment later.
	run, cancel := context.WithCancelCause(s.Context())
	stop := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	defer func() {
		stop()
		cancel(nil)
		if lost := s.Release(); errors.Is(lost, ErrLost) {
			err = errors.Join(err, lost)
		}
	}()
	if at, ok := ctx.Deadline(); ok {
		var stop context.CancelFunc
		run, stop = context.WithDeadline(run, at)
		defer stop()
	}
	return fn(&leaseContext{run, s}, s)
}

func (l *Locker) now() time.Duration { return time.Since(l.base) }

// ended returns why ctx is done, or nil.
func ended(ctx context.Context) error {
	err := ctx.Err()
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(cause, err) {
		return fmt.Errorf("%w: %w", err, cause)
	}
	return err
}

func (c Claim) fail(verb string, err error) error {
	if c.Dir == "" {
		return fmt.Errorf("lock: %s %q: %w", verb, c.Name, err)
	}
	return fmt.Errorf("lock: %s %q in %q: %w", verb, c.Name, c.Dir, err)
}
