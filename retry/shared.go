package retry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// SharedOptions configure [NewSharedBudget]. A nil *SharedOptions means the defaults.
type SharedOptions struct {
	// Max is how many tokens there are for all processes, 1 to 1,000,000. It defaults to 1000.
	Max int
	// PerSecond is how many tokens come with time for all processes, 1 to 1,000,000. It defaults to 10. Negative means none.
	PerSecond int
	// Chunk is how many tokens this process keeps while it is idle, 1 to Max. It defaults to a hundredth of Max, at least 1.
	// What idle processes keep is out of reach of the others: with 10 of them, a tenth of Max, or 10 where that is more.
	Chunk int
	// Hold is how long more than that is kept unspent, 10 ms to 24 h. It defaults to 10 s.
	Hold time.Duration
	// Timeout is how long a call of the pool may take, 1 ms to 24 h. It defaults to 5 s.
	Timeout time.Duration
}

const (
	maxName          = 256
	defaultPool      = 1000
	defaultPerSecond = 10
	defaultHold      = 10 * time.Second
	minHold          = 10 * time.Millisecond
	defaultCall      = 5 * time.Second
	idlePart         = 100 // of Max is a Chunk by default
	busyPart         = 10  // of Max is the most that one process keeps
	firstPause       = 100 * time.Millisecond
	longestPause     = 2 * time.Second
)

func (o SharedOptions) filled() (SharedOptions, error) {
	o.Max = cmp.Or(o.Max, defaultPool)
	o.PerSecond = max(0, cmp.Or(o.PerSecond, defaultPerSecond))
	o.Chunk = cmp.Or(o.Chunk, max(1, o.Max/idlePart))
	o.Hold = cmp.Or(o.Hold, defaultHold)
	o.Timeout = cmp.Or(o.Timeout, defaultCall)
	return o, cmp.Or(
		within("Max", o.Max, 1, maxTokens),
		within("PerSecond", o.PerSecond, 0, maxTokens),
		within("Chunk", o.Chunk, 1, o.Max),
		within("Hold", o.Hold, minHold, longest),
		within("Timeout", o.Timeout, shortest, longest),
	)
}

// SharedBudget is a [Budget] for many processes together: a bucket in a [Pool], from which it leases tokens in chunks, in the
// background, so that no call waits for the store. [NewSharedBudget] makes it. Its methods may be called concurrently.
//
// Together the processes never make more retries than the bucket had tokens. What a process holds when it dies is lost. While
// the store is away what is held is spent, and then there are no retries. A process that retries much leases more at once, up
// to a tenth of Max, and gives back what it does not spend.
type SharedBudget struct {
	pool   Pool
	bucket Bucket
	o      SharedOptions

	held   atomic.Int64 // tokens that may be spent here
	low    atomic.Int64 // held at which more is asked for
	spent  atomic.Int64 // tokens ever
	closed atomic.Bool
	wake   chan struct{}

	cancel context.CancelFunc
	done   chan struct{} // closed when the goroutine has ended
	once   sync.Once
	given  error // what Close returns

	// Of the goroutine:
	target  int64 // how many to hold after the next lease
	settled int64 // spent when settle was last called
}

// NewSharedBudget returns a budget that leases from the bucket of that name, 1 to 256 bytes of UTF-8, in pool. It does not wait
// for the first lease: until that has come there are no retries. Bad input is an error that wraps [ErrInvalid]. Close ends
// its goroutine.
func NewSharedBudget(pool Pool, name string, o *SharedOptions) (*SharedBudget, error) {
	if pool == nil {
		return nil, fmt.Errorf("%w: nil Pool", ErrInvalid)
	}
	if name == "" || len(name) > maxName || !utf8.ValidString(name) {
		return nil, fmt.Errorf("%w: name %.40q: want 1 to %d bytes of UTF-8", ErrInvalid, name, maxName)
	}
	if o == nil {
		o = new(SharedOptions)
	}
	filled, err := o.filled()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &SharedBudget{
		pool: pool, bucket: Bucket{Name: name, Max: filled.Max, PerSecond: filled.PerSecond}, o: filled,
		wake: make(chan struct{}, 1), cancel: cancel, done: make(chan struct{}), target: int64(filled.Chunk),
	}
	go s.run(ctx)
	return s, nil
}

// Name returns the name of the bucket.
func (s *SharedBudget) Name() string { return s.bucket.Name }

// Deposit implements [Budget]. It does nothing: the bucket fills with time.
func (s *SharedBudget) Deposit() {}

// Withdraw implements [Budget]. It spends a token of those that are held, and never waits.
func (s *SharedBudget) Withdraw() bool {
	for {
		held := s.held.Load()
		if held-1 <= s.low.Load() { // before the last is spent
			s.ask()
		}
		if held <= 0 || s.closed.Load() {
			return false
		}
		if s.held.CompareAndSwap(held, held-1) {
			s.spent.Add(1)
			return true
		}
	}
}

func (s *SharedBudget) ask() {
	select {
	case s.wake <- struct{}{}:
	default: // has been asked
	}
}

// Level returns how many tokens are held here.
func (s *SharedBudget) Level() float64 { return float64(s.held.Load()) }

// Close ends the background work and gives what is held back to the pool; then there are no retries. It returns when the
// pool has answered, with its error, or when ctx has ended, with that of ctx: then it goes on without it, for Timeout at
// most. More calls wait for the first.
func (s *SharedBudget) Close(ctx context.Context) error {
	if ctx == nil {
		return fmt.Errorf("%w: Close with nil: want a context", ErrInvalid)
	}
	s.once.Do(func() {
		s.closed.Store(true)
		s.cancel()
	})
	select {
	case <-s.done:
		return s.given
	case <-ctx.Done():
		return fmt.Errorf("retry: close of budget %q: %w", s.bucket.Name, context.Cause(ctx))
	}
}

// run leases and gives back until ctx ends.
func (s *SharedBudget) run(ctx context.Context) {
	defer close(s.done)
	for s.lease(ctx) && s.await(ctx) {
	}
	s.given = s.give(context.Background(), s.held.Swap(0))
}

// await waits until somebody asks for more, and settles meanwhile. It reports whether to go on.
func (s *SharedBudget) await(ctx context.Context) bool {
	hold := time.NewTimer(s.o.Hold)
	defer hold.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-s.wake:
			return true
		case <-hold.C:
			if s.settle(ctx); s.held.Load() > int64(s.o.Chunk) {
				hold.Reset(s.o.Hold)
			}
		}
	}
}

// lease fills up to the target, or where the pool does not give that, at least to a Chunk. While the pool is empty or away it
// asks less and less often. It reports whether to go on.
func (s *SharedBudget) lease(ctx context.Context) bool {
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, longestPause) {
		want := s.target - s.held.Load()
		if want <= 0 {
			return true
		}
		got, err := s.take(ctx, int(want))
		s.held.Add(int64(got))
		if err == nil && int64(got) == want {
			s.low.Store(s.target / 2)
			s.target = min(2*s.target, s.most()) // a process that asks again before it has settled is busy
			return true
		}
		if !sleep(ctx, between(pause/2, pause)) { // also with a Chunk: who is busy comes back at once
			return false
		}
		if s.held.Load() >= int64(s.o.Chunk) {
			return true
		}
	}
	return false
}

// settle goes by what was spent in the last Hold, and gives the rest back.
func (s *SharedBudget) settle(ctx context.Context) {
	spent := s.spent.Load()
	s.target = min(max(2*(spent-s.settled), int64(s.o.Chunk)), s.most())
	s.settled = spent
	s.low.Store(s.target / 2)
	for {
		held := s.held.Load()
		if held <= s.target {
			return
		}
		if s.held.CompareAndSwap(held, s.target) { // first out of reach here, then back
			_ = s.give(ctx, held-s.target) // what is lost on the way is lost
			return
		}
	}
}

func (s *SharedBudget) most() int64 { return int64(max(s.o.Chunk, s.o.Max/busyPart)) }

// take returns what came from the pool. It is between 0 and n, whatever a Pool says.
func (s *SharedBudget) take(ctx context.Context, n int) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	got, err := s.pool.Take(ctx, s.bucket, n)
	if err != nil {
		return 0, err
	}
	if got < 0 || got > n {
		return 0, errors.New("retry: a pool gave another number of tokens than was asked for")
	}
	return got, nil
}

func (s *SharedBudget) give(ctx context.Context, n int64) error {
	if n <= 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	if err := s.pool.Give(ctx, s.bucket, int(n)); err != nil {
		return fmt.Errorf("retry: give %d tokens back to budget %q: %w", n, s.bucket.Name, err)
	}
	return nil
}
