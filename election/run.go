package election

import (
	"context"
	"errors"
	"fmt"

	"github.com/concordkit/concord/lock"
)

// Run stands for election and calls fn whenever it leads, on its own goroutine, until ctx ends or fn fails. The package
// comment says what Run does when fn returns, when the leadership is lost, and when ctx ends. Only one Run of an Election
// runs at a time: another one gets [ErrInvalid].
func (e *Election) Run(ctx context.Context, fn func(context.Context, Term) error) error {
	if err := e.candidate(); err != nil {
		return err
	}
	if fn == nil {
		return fmt.Errorf("election: %w: Run of nil", ErrInvalid)
	}
	if !e.running.CompareAndSwap(false, true) {
		return fmt.Errorf("election: %w: Run of %q in %q while another Run of this Election goes on", ErrInvalid, e.id, e.name)
	}
	defer e.running.Store(false)
	for p := new(pace); ; {
		l, err := e.Campaign(ctx)
		switch {
		case err == nil:
			p.reset()
			err = l.lead(ctx, fn)
		case ctx.Err() != nil:
			return e.stopped(ended(ctx))
		case !final(err):
			p.slow()
			err = nil
		}
		if err != nil {
			return err
		}
		if err := p.pause(ctx); err != nil {
			return e.stopped(err)
		}
	}
}

func (e *Election) stopped(err error) error {
	return fmt.Errorf("election: run of %q in %q: %w", e.id, e.name, err)
}

// final reports whether no later campaign can do better.
func final(err error) bool {
	return errors.Is(err, ErrInvalid) || errors.Is(err, lock.ErrClosed) || errors.Is(err, lock.ErrCorrupt)
}

// lead calls fn and resigns when it has returned or panicked. It returns what ends Run, or nil.
func (l *Leadership) lead(ctx context.Context, fn func(context.Context, Term) error) (err error) {
	over := false
	if ctx.Err() == nil { // nobody starts at shutdown
		over, err = l.call(ctx, fn)
	} else {
		l.Resign()
	}
	switch stop := ended(ctx); {
	case stop == nil && over: // what fn returns after its context has ended is an echo
		return nil
	case stop == nil:
		return err
	case echoes(err, stop):
		return l.e.stopped(stop)
	default:
		return l.e.stopped(errors.Join(stop, err))
	}
}

// echoes reports whether err is no more than stop, the end of the context, handed back: that itself or what wraps it alone.
func echoes(err, stop error) bool {
	for e := err; e != nil; e = errors.Unwrap(e) { // nil for what wraps several
		if errors.Is(stop, e) {
			return true
		}
	}
	return err == nil
}

// call calls fn in a context that ends with ctx and with the leadership, and reports whether the latter had ended before fn
// returned.
func (l *Leadership) call(ctx context.Context, fn func(context.Context, Term) error) (over bool, err error) {
	// A child of the lease's context ends with it at once; that of ctx may come a moment later.
	run, cancel := context.WithCancelCause(l.lease.Context())
	stop := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	returned := l.attend(ctx)
	defer func() {
		over = l.ctx.Err() != nil
		stop()
		cancel(nil)
		returned()
		l.Resign() // what cannot be told to the server ends with its TTL
	}()
	if at, ok := ctx.Deadline(); ok {
		var stop context.CancelFunc
		run, stop = context.WithDeadline(run, at)
		defer stop()
	}
	return false, fn(&termContext{run, l.lease.Context(), ctx}, l.Term())
}

// ended returns why ctx is done, or nil.
func ended(ctx context.Context) error {
	err := ctx.Err()
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(cause, err) {
		return fmt.Errorf("%w: %w", err, cause)
	}
	return err
}
