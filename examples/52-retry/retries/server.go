package retries

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// outage is how long the server is down.
	outage = 500 * time.Millisecond
	// capacity is how many requests it answers in a step, once it is up. It refuses the rest.
	capacity = 200
	step     = 100 * time.Millisecond
	steps    = 31 // until the last retry of the loop, and one for who is late
)

var (
	errDown = errors.New("connection refused")
	errBusy = errors.New("503 Service Unavailable")
)

// server counts what comes.
type server struct {
	start time.Time

	mu       sync.Mutex
	answered [steps]int
	retries  [steps]int
}

// answer is a request.
func (s *server) answer() error {
	if time.Since(s.start) < outage {
		return errDown
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answered[s.now()] == capacity {
		return errBusy
	}
	s.answered[s.now()]++
	return nil
}

// again notes a retry.
func (s *server) again() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retries[s.now()]++
}

// now returns the step.
func (s *server) now() int { return min(int(time.Since(s.start)/step), steps-1) }

// client returns the calls of a client: all but the first are retries.
func (s *server) client() func(context.Context) error {
	first := true
	return func(context.Context) error {
		if !first {
			s.again()
		}
		first = false
		return s.answer()
	}
}
