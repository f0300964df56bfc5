package electiontest

import (
	"fmt"
	"sync"

	"github.com/concordkit/concord/election"
)

// Shifts notes when leaders of an election work, and finds two that work at the same time. The zero value is ready.
type Shifts struct {
	mu    sync.Mutex
	last  election.Term
	count int
	now   map[election.Term]bool
	err   error
}

// Begin notes that the leader of term t begins to work. The func that it returns notes that it has stopped.
func (s *Shifts) Begin(t election.Term) (end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil:
	case len(s.now) > 0:
		s.err = fmt.Errorf("term %d begins to work while %d others do", t, len(s.now))
	case t <= s.last:
		s.err = fmt.Errorf("term %d comes after term %d", t, s.last)
	}
	if s.now == nil {
		s.now = map[election.Term]bool{}
	}
	s.now[t] = true
	s.last = max(s.last, t)
	s.count++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.now, t)
	}
}

// Count returns how many have begun to work.
func (s *Shifts) Count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// Err returns the first thing that was wrong: leaders that worked at the same time, or a term that did not grow.
func (s *Shifts) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}
