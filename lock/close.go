package lock

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// quitters is how many leases Close releases at a time.
const quitters = 64

// Close releases all leases, ends all waits and watches with [ErrClosed], and waits for what runs in the background, at
// most until ctx ends; then it returns the error of ctx, and the rest goes on. What it could not release ends with its
// TTL. The Locker cannot be used afterwards. The Backend and its client stay as they are.
func (l *Locker) Close(ctx context.Context) error {
	if l.die == nil {
		return nil // a Locker that New has not made holds nothing
	}
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		l.die(ErrClosed)
		go func() {
			l.quit()
			l.work.Wait()
			close(l.idle)
		}()
	}
	l.mu.Unlock()
	select {
	case <-l.idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("lock: close: %w", ended(ctx))
	}
}

// quit ends waits before it releases what is held, since a release may let one of our own waiters in.
func (l *Locker) quit() {
	l.mu.Lock()
	all := slices.Collect(maps.Keys(l.leases))
	watches := slices.Collect(maps.Keys(l.watches))
	l.mu.Unlock()
	for _, w := range watches {
		w.cancel(ErrClosed)
	}
	all = slices.DeleteFunc(all, func(s *Lease) bool { return s.end(s.claim.fail("acquire", ErrClosed), Queued) })
	turn := make(chan struct{}, quitters)
	for _, s := range all {
		turn <- struct{}{}
		go func() {
			defer func() { <-turn }()
			s.Release() // what cannot be told to the server ends with its TTL
		}()
	}
}

// enter counts a call among the work that Close awaits, or reports that the Locker is closed. Who has entered, or holds a
// lease that has not ended, may start more work.
func (l *Locker) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.work.Add(1)
	return true
}
