package fleet_test

import (
	"context"
	"sync"
	"time"

	"github.com/concordkit/concord/lock"
)

// swap is a server that may lose its data: its watchers are told of what there is then.
type swap struct {
	mu      sync.Mutex
	backend lock.Backend
	swapped chan struct{}
}

func (s *swap) now() (lock.Backend, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.backend, s.swapped
}

func (s *swap) to(b lock.Backend) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.swapped != nil {
		close(s.swapped)
	}
	s.backend, s.swapped = b, make(chan struct{})
}

func (s *swap) Acquire(ctx context.Context, c lock.Claim, notify func(lock.State)) (lock.State, error) {
	b, _ := s.now()
	return b.Acquire(ctx, c, notify)
}

func (s *swap) Renew(ctx context.Context, cs []lock.Claim) ([]lock.State, error) {
	b, _ := s.now()
	return b.Renew(ctx, cs)
}

func (s *swap) Release(ctx context.Context, c lock.Claim) (bool, error) {
	b, _ := s.now()
	return b.Release(ctx, c)
}

func (s *swap) SetValue(ctx context.Context, c lock.Claim) (bool, error) {
	b, _ := s.now()
	return b.SetValue(ctx, c)
}

func (s *swap) Info(ctx context.Context) (lock.Info, error) {
	b, _ := s.now()
	return b.Info(ctx)
}

func (s *swap) Watch(ctx context.Context, dir string, every time.Duration, emit func([]lock.Holder)) error {
	for {
		b, swapped := s.now()
		run, cancel := context.WithCancel(ctx)
		go func() {
			select {
			case <-swapped:
				cancel()
			case <-run.Done():
			}
		}()
		err := b.Watch(run, dir, every, emit)
		cancel()
		if ctx.Err() != nil {
			return err
		}
	}
}
