package breaker

import (
	"context"
	"iter"
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// SetOptions configure [NewSet]. A nil *SetOptions means the defaults.
type SetOptions struct {
	// Breaker configures each breaker.
	Breaker Options
	// Idle is how long a breaker is kept after its last use, 1 ms to 24 h; it goes within twice that. It defaults to 10
	// minutes. Negative means for ever.
	Idle time.Duration
}

const defaultIdle = 10 * time.Minute

// Set keeps a breaker for each key, such as a host. [NewSet] makes it. Its methods may be called concurrently.
//
// A breaker that nobody got from the Set for a while is dropped, and the next Get makes a new one, which is closed; not
// while its open time or the time of a probe runs, while Rules.InFlight counts calls of it, or under an operator's hand.
// So get it for each call, and take keys from a source that is bounded.
type Set struct {
	o    Options
	idle time.Duration

	mu    sync.RWMutex
	m     map[string]*member
	timer *time.Timer // runs while there is something that may go
}

type member struct {
	*Breaker
	used atomic.Bool // since the last sweep
}

// NewSet returns an empty Set.
func NewSet(o *SetOptions) (*Set, error) {
	if o == nil {
		o = new(SetOptions)
	}
	filled, err := o.Breaker.filled()
	if err != nil {
		return nil, err
	}
	idle := o.Idle
	if idle == 0 {
		idle = defaultIdle
	}
	if idle > 0 {
		if err := within("Idle", idle, shortest, longest); err != nil {
			return nil, err
		}
	}
	return &Set{o: filled, idle: idle, m: map[string]*member{}}, nil
}

// Get returns the breaker of key, which is its name. It makes one if there is none.
func (s *Set) Get(key string) *Breaker {
	s.mu.RLock()
	m := s.m[key]
	s.mu.RUnlock()
	if m == nil {
		m = s.add(key)
	}
	if !m.used.Load() { // most often set: a cache line that is only read is shared
		m.used.Store(true)
	}
	return m.Breaker
}

func (s *Set) add(key string) *member {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.m[key]
	if m == nil {
		m = &member{Breaker: newBreaker(key, s.o)}
		m.used.Store(true)
		s.m[key] = m
	}
	if s.timer == nil && s.idle > 0 {
		s.timer = time.AfterFunc(s.idle, s.sweep)
	}
	return m
}

// sweep drops what was not used since the last one. Without anything left to drop later, it was the last one.
func (s *Set) sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := false
	for key, m := range s.m {
		used := m.used.Swap(false)
		switch {
		case used || m.busy():
			waiting = true
		default:
			delete(s.m, key)
		}
	}
	s.timer = nil
	if waiting {
		s.timer = time.AfterFunc(s.idle, s.sweep)
	}
}

// Do is [Breaker.Do] of the breaker of key.
func (s *Set) Do(ctx context.Context, key string, fn func(context.Context) error) error {
	return s.Get(key).Do(ctx, fn)
}

// Len returns how many breakers there are.
func (s *Set) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.m)
}

// All yields the breakers that there are now, by key, in no order. It does not count as use.
func (s *Set) All() iter.Seq2[string, *Breaker] {
	return func(yield func(string, *Breaker) bool) {
		s.mu.RLock()
		all := maps.Clone(s.m)
		s.mu.RUnlock()
		for key, m := range all {
			if !yield(key, m.Breaker) {
				return
			}
		}
	}
}

// busy reports whether something would be forgotten that still holds.
func (m *member) busy() bool {
	p := m.period.Load()
	switch p.state {
	case Closed:
		return p.inFlight.Load() > 0
	case HalfOpen:
		return m.clock.now() < p.since+instant(m.o.ProbeTimeout)
	case Open:
		return m.clock.now() < p.until
	}
	return true
}
