package lock

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Leases are several leases that are held together, in the order of their names.
type Leases []*Lease

// AcquireAll waits until it holds all of names alone, and returns a lease for each. It takes them in sorted order, so
// that two calls never wait for each other, and holds none when it fails. A name that is given twice is taken once.
// Names already held are renewed while it waits for the next; when one of them is lost, it fails with [ErrLost].
func (l *Locker) AcquireAll(ctx context.Context, names ...string) (Leases, error) {
	if len(names) == 0 {
		return nil, fmt.Errorf("%w: no names", ErrInvalid)
	}
	for _, name := range names { // before anything is held
		if _, err := l.prepare(Claim{Name: name}); err != nil {
			return nil, err
		}
	}
	sorted := slices.Clone(names)
	slices.Sort(sorted)
	var all Leases
	wait, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for _, name := range slices.Compact(sorted) {
		s, err := l.Acquire(wait, name)
		if err != nil {
			all.Release()
			return nil, err
		}
		stop := context.AfterFunc(s.Context(), func() { cancel(context.Cause(s.Context())) })
		defer stop()
		all = append(all, s)
	}
	for _, s := range all {
		if s.Context().Err() != nil {
			all.Release()
			return nil, context.Cause(s.Context())
		}
	}
	return all, nil
}

// Context returns a new context that ends when any of the leases ends, with its cause. It carries the values of the
// first lease's context.
func (ls Leases) Context() context.Context {
	ctx, cancel := context.WithCancelCause(ls[0].Context())
	context.AfterFunc(ctx, func() { cancel(nil) })
	for _, s := range ls[1:] {
		context.AfterFunc(s.Context(), func() { cancel(context.Cause(s.Context())) })
	}
	return ctx
}

// Release releases all leases, the last name first, and returns the errors joined.
func (ls Leases) Release() error {
	var errs []error
	for _, s := range slices.Backward(ls) {
		errs = append(errs, s.Release())
	}
	return errors.Join(errs...)
}
