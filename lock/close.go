package lock

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// Close releases all leases, ends all waits and watches with [ErrClosed], and waits for what runs in the background, at
// most until ctx ends; then it returns the error of ctx. What it could not release ends with its TTL. The Locker cannot
// be used afterwards. The Backend and its client stay as they are.
func (l *Locker) Close(ctx context.Context) error {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		l.idle = make(chan struct{})
		for w := range l.watches {
			w.cancel(ErrClosed)
		}
		l.start(l.quit)
	}
	idle := l.idle
	l.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("lock: close: %w", ended(ctx))
	}
}

// quit ends waits before it releases what is held, since a release may let one of our own waiters in.
func (l *Locker) quit() {
	l.mu.Lock()
	all := slices.Collect(maps.Keys(l.leases))
	l.mu.Unlock()
	var held []*Lease
	for _, s := range all {
		select {
		case <-s.granted:
			held = append(held, s)
		default:
			s.end(s.claim.fail("acquire", ErrClosed))
		}
	}
	for _, s := range held {
		l.spawn(func() { s.Release() }) // what cannot be told to the server ends with its TTL
	}
}

// spawn runs f in a goroutine that Close awaits, or reports that Close has awaited the last one.
func (l *Locker) spawn(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed && l.running == 0 {
		return false
	}
	l.start(f)
	return true
}

// start is spawn under l.mu.
func (l *Locker) start(f func()) {
	l.running++
	go func() {
		f()
		l.mu.Lock()
		l.running--
		l.settle()
		l.mu.Unlock()
	}()
}

// settle tells Close when the last goroutine has ended.
func (l *Locker) settle() {
	if !l.closed || l.running > 0 {
		return
	}
	select {
	case <-l.idle:
	default:
		close(l.idle)
	}
}
