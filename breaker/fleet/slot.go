package fleet

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/concordkit/concord/lock"
)

const (
	// What has failed is tried again after a pause that doubles from minPause to maxPause.
	minPause = 100 * time.Millisecond
	maxPause = 2 * time.Second
)

// slot is a lease that the member may hold. The member says what it wants, and a goroutine makes it so, as far as that is
// possible, and as often as that takes.
type slot struct {
	m       *Member
	claim   lock.Claim
	changed chan struct{} // want has changed

	mu    sync.Mutex
	want  []byte // the value to show; nil to hold nothing
	lease *lock.Lease
	shown []byte // the value that the lease shows, if that is known
	taken bool   // the last try found another holder; cleared by the next want
}

func newSlot(m *Member, c lock.Claim) *slot {
	s := &slot{m: m, claim: c, changed: make(chan struct{}, 1)}
	m.work.Go(s.run)
	return s
}

// set says what value to show, nil to hold nothing.
func (s *slot) set(value []byte) {
	s.mu.Lock()
	same := bytes.Equal(s.want, value) && (s.want == nil) == (value == nil)
	if !same {
		s.want, s.taken = value, false
	}
	s.mu.Unlock()
	if !same {
		s.poke()
	}
}

func (s *slot) poke() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// holds returns the ID of the lease, "" if there is none.
func (s *slot) holds() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lease == nil || s.lease.Context().Err() != nil {
		return ""
	}
	return s.lease.Claim().ID
}

// ttl returns the TTL of the lease, 0 if there was none yet.
func (s *slot) ttl() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.claim.TTL
}

// isTaken reports whether the last try found another holder.
func (s *slot) isTaken() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken
}

// run makes it so until the member leaves, and then releases the lease.
func (s *slot) run() {
	pause := minPause
	var again, renew <-chan time.Time
	for {
		var lost <-chan struct{}
		if s.lease != nil {
			lost = s.lease.Context().Done()
		}
		select {
		case <-s.m.life.Done():
			s.release()
			return
		case <-lost:
			s.drop()
		case <-s.changed:
		case <-again:
		case <-renew: // a write whose answer was lost may have come late, and have hidden the one after it
			renew = nil
			s.forget()
		}
		again = nil
		err := s.reconcile()
		if err == nil || s.m.life.Err() != nil {
			pause = minPause
			continue
		}
		if errors.Is(err, lock.ErrClosed) || errors.Is(err, lock.ErrInvalid) {
			s.m.trace.blind(s.m.name, err) // in vain, until something else is wanted
			s.m.fail(err)
			continue
		}
		if !errors.Is(err, lock.ErrHeld) {
			s.m.trace.blind(s.m.name, err)
			if ttl := s.ttl(); ttl > 0 {
				renew = time.After(ttl)
			}
		}
		again = time.After(pause/2 + rand.N(pause/2))
		pause = min(2*pause, maxPause)
	}
}

// release gives the lease back, if there is one. What fails is tried again in the background, and ends with the lease.
func (s *slot) release() {
	s.mu.Lock()
	lease := s.lease
	s.lease, s.shown = nil, nil
	s.mu.Unlock()
	if lease != nil {
		lease.Release()
	}
}

// drop gives up the lease, which is lost.
func (s *slot) drop() {
	s.m.trace.blind(s.m.name, context.Cause(s.lease.Context()))
	s.release()
	s.m.notify()
}

func (s *slot) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shown = nil
}

// reconcile does what is missing. Only run calls it, so the lease changes nowhere else.
func (s *slot) reconcile() error {
	s.mu.Lock()
	want, lease, shown := s.want, s.lease, s.shown
	s.mu.Unlock()
	switch {
	case want == nil && lease == nil:
		return nil
	case want == nil:
		s.release()
		s.m.notify()
		return nil
	case lease == nil:
		return s.take(want)
	case bytes.Equal(want, shown):
		return nil
	}
	if err := lease.SetValue(s.m.life, want); err != nil {
		if errors.Is(err, lock.ErrLost) {
			return nil // run hears of it
		}
		s.forget()
		return err
	}
	s.mu.Lock()
	s.shown = want
	s.mu.Unlock()
	s.m.notify()
	return nil
}

func (s *slot) take(value []byte) error {
	c := s.claim
	c.Value = value
	lease, err := s.m.locks.Claim(s.m.life, c)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.taken = errors.Is(err, lock.ErrHeld) && bytes.Equal(value, s.want)
		s.m.notify()
		return err
	}
	s.lease, s.shown = lease, value
	s.claim.TTL = lease.Claim().TTL
	if !bytes.Equal(value, s.want) { // it has changed meanwhile
		s.poke()
	}
	s.m.notify()
	return nil
}
