package election_test

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/memlock"
)

var errFake = errors.New("fake")

// faulty is a memory backend with hooks in front of its methods. A hook's error is returned instead of an answer.
type faulty struct {
	*memlock.Backend
	mu      sync.Mutex // guards the hooks
	acquire func(lock.Claim) error
	renew   func() error
	info    func() error
	watch   func(ctx context.Context, emit func([]lock.Holder)) error
}

func newFaulty() *faulty { return &faulty{Backend: memlock.New()} }

// set changes hooks.
func (f *faulty) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// now returns a hook as it is.
func now[F any](f *faulty, hook *F) F {
	f.mu.Lock()
	defer f.mu.Unlock()
	return *hook
}

func (f *faulty) Acquire(ctx context.Context, c lock.Claim, notify func(lock.State)) (lock.State, error) {
	if hook := now(f, &f.acquire); hook != nil {
		if err := hook(c); err != nil {
			return lock.State{}, err
		}
	}
	return f.Backend.Acquire(ctx, c, notify)
}

func (f *faulty) Renew(ctx context.Context, cs []lock.Claim) ([]lock.State, error) {
	if hook := now(f, &f.renew); hook != nil {
		if err := hook(); err != nil {
			return nil, err
		}
	}
	return f.Backend.Renew(ctx, cs)
}

func (f *faulty) Info(ctx context.Context) (lock.Info, error) {
	if hook := now(f, &f.info); hook != nil {
		if err := hook(); err != nil {
			return lock.Info{}, err
		}
	}
	return f.Backend.Info(ctx)
}

func (f *faulty) Watch(ctx context.Context, dir string, interval time.Duration, emit func([]lock.Holder)) error {
	if f.watch != nil {
		return f.watch(ctx, emit)
	}
	return f.Backend.Watch(ctx, dir, interval, emit)
}
