package electiontest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/concordkit/concord/election"
)

// Shifts notes when leaders of an election work, and finds two that work at the same time. The zero value is ready.
//
// A leader that lost its leadership counts as one that works no more once its context says so: a machine that is busy may
// wake it later than the next one.
type Shifts struct {
	mu    sync.Mutex
	last  election.Term
	count int
	now   map[election.Term]context.Context
	err   error
}

// Begin notes that the leader of term t begins to work in ctx. The func that it returns notes that it has stopped.
func (s *Shifts) Begin(ctx context.Context, t election.Term) (end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = s.check(t)
	}
	if s.now == nil {
		s.now = map[election.Term]context.Context{}
	}
	s.now[t] = ctx
	s.last = max(s.last, t)
	s.count++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.now, t)
	}
}

// check returns what is wrong with term t beginning now.
func (s *Shifts) check(t election.Term) error {
	for other, ctx := range s.now {
		if ctx.Err() == nil || !errors.Is(context.Cause(ctx), election.ErrLost) {
			return fmt.Errorf("term %d begins to work while term %d does", t, other)
		}
	}
	if t <= s.last {
		return fmt.Errorf("term %d comes after term %d", t, s.last)
	}
	return nil
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
