package lock

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Leases are several leases that are held together.
type Leases struct {
	all []*Lease
	ctx context.Context
}

// AcquireAll waits until it holds all of names alone, and returns a lease for each. It takes them in sorted order, so
// that two calls never wait for each other, and holds none when it fails: what it held is released in the background. A
// name that is given twice is taken once. Names already held are renewed while it waits for the next; when one of them is
// lost, it fails with [ErrLost].
func (l *Locker) AcquireAll(ctx context.Context, names ...string) (*Leases, error) {
	if len(names) == 0 {
		return nil, fmt.Errorf("%w: no names", ErrInvalid)
	}
	for _, name := range names { // before anything is held
		if _, err := l.prepare(Claim{Name: name}); err != nil {
			return nil, err
		}
	}
	if !l.enter() {
		return nil, fmt.Errorf("lock: acquire %q: %w", names, ErrClosed)
	}
	defer l.work.Done()
	sorted := slices.Clone(names)
	slices.Sort(sorted)
	wait, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ls := new(Leases)
	for _, name := range slices.Compact(sorted) {
		s, err := l.Acquire(wait, name)
		if err == nil {
			ls.all = append(ls.all, s)
			defer context.AfterFunc(s.Context(), func() { cancel(context.Cause(s.Context())) })()
		}
		switch lost := ls.ended(); {
		case lost == ErrReleased: // nobody but Close can have
			err = fmt.Errorf("lock: acquire %q: %w", names, ErrClosed)
		case lost != nil:
			err = lost
		}
		if err != nil {
			for _, s := range ls.all {
				l.work.Go(func() { s.Release() })
			}
			return nil, err
		}
	}
	ls.join()
	return ls, nil
}

// join makes the common context.
func (ls *Leases) join() {
	ctx, cancel := context.WithCancelCause(ls.all[0].Context())
	end := func() { cancel(ls.ended()) }
	ls.ctx = &leasesContext{ctx, ls, end}
	for _, s := range ls.all {
		context.AfterFunc(s.Context(), end)
	}
}

// ended returns why the first of the leases that have ended did, or nil.
func (ls *Leases) ended() error {
	for _, s := range ls.all {
		if s.Context().Err() != nil {
			return context.Cause(s.Context())
		}
	}
	return nil
}

// All returns the leases in the order of their names, each with a token of its own.
func (ls *Leases) All() []*Lease { return slices.Clone(ls.all) }

// Context returns the context to do the protected work in: that of a lease, which ends when any of the leases does.
func (ls *Leases) Context() context.Context { return ls.ctx }

// Release releases all leases, the last name first, and returns the errors joined, each as of [Lease.Release].
func (ls *Leases) Release() error {
	var errs []error
	for _, s := range slices.Backward(ls.all) {
		errs = append(errs, s.Release())
	}
	return errors.Join(errs...)
}

// leasesContext looks at all leases, so that Err tells the truth before a goroutine could bring the news.
type leasesContext struct {
	context.Context
	ls  *Leases
	end func()
}

// Err implements context.Context.
func (c *leasesContext) Err() error {
	if c.Context.Err() == nil && c.ls.ended() != nil {
		c.end()
	}
	return c.Context.Err()
}
