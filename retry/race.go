package retry

import (
	"context"
	"runtime"
	"sync"
	"time"
)

// race is one call of Hedge.
type race[T any] struct {
	h      *Hedger[T]
	parent context.Context
	fn     func(context.Context) (T, error)
	delay  time.Duration
	others sync.WaitGroup // attempts on goroutines of their own

	mu      sync.Mutex
	timer   *time.Timer // for the next attempt
	lanes   []context.CancelCauseFunc
	space   [2]context.CancelCauseFunc // of lanes, so that most races need no other
	ended   int                        // attempts that have
	over    bool                       // no other attempt may begin
	winner  int                        // 0 while there is none; attempts are counted from 1
	value   T                          // of the winner, else of attempt 1
	err     error                      // of attempt 1
	failure *abort
}

// abort is how an attempt ended that did not return.
type abort struct {
	goexit bool
	value  any
}

func newRace[T any](ctx context.Context, h *Hedger[T], fn func(context.Context) (T, error)) *race[T] {
	r := &race[T]{h: h, parent: ctx, fn: fn, delay: h.Delay()}
	r.lanes = r.space[:0]
	return r
}

// run makes the first attempt, waits for all, and returns what the caller gets.
func (r *race[T]) run() (T, error) {
	delivered := false
	defer func() { r.finish(delivered) }() // also for a panic, and Goexit
	ctx := r.enter(r.parent)
	r.mu.Lock() // for the timer, which may be quicker than the assignment
	r.timer = time.AfterFunc(r.delay, r.another)
	r.mu.Unlock()
	v, err := r.first(ctx)
	r.end(1, v, err)
	r.others.Wait()
	switch {
	case r.failure != nil && r.failure.goexit:
		runtime.Goexit()
	case r.failure != nil:
		panic(r.failure.value)
	case r.winner == 0:
		return r.value, r.err
	}
	r.h.deposit()
	if r.h.o.Keep == nil {
		delivered = true
		return r.value, nil
	}
	cancel := r.lanes[r.winner-1]
	v = r.h.o.Keep(r.value, func() { cancel(nil) })
	delivered = true
	return v, nil
}

// enter makes the context of an attempt. After the first, the caller holds r.mu.
func (r *race[T]) enter(parent context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(parent)
	r.lanes = append(r.lanes, cancel)
	return ctx
}

func (r *race[T]) first(ctx context.Context) (T, error) {
	recent := r.h.recent
	if recent == nil {
		return r.fn(ctx)
	}
	start := time.Now()
	v, err := r.fn(ctx)
	if err == nil || context.Cause(ctx) == ErrLost { // a loser took at least this long
		recent.add(time.Since(start))
	}
	return v, err
}

// another makes the next attempt, on the goroutine of the timer.
func (r *race[T]) another() {
	n, ctx := r.next()
	if n == 0 {
		return
	}
	defer r.others.Done()
	returned := false
	defer func() {
		if !returned {
			r.abort(n, recover())
		}
	}()
	r.h.o.Trace.hedge(r.parent, n)
	v, err := r.fn(ctx)
	r.end(n, v, err)
	returned = true
}

// next enters an attempt and sets the timer for the one after it, or returns 0.
func (r *race[T]) next() (n int, ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over || r.parent.Err() != nil || r.h.o.Budget != nil && !r.h.o.Budget.Withdraw() {
		return 0, nil
	}
	ctx = r.enter(&repetition{r.parent, 1})
	r.others.Add(1)
	if n = len(r.lanes); n < r.h.o.Max {
		r.timer.Reset(r.delay)
	}
	return n, ctx
}

// end takes the result of an attempt.
func (r *race[T]) end(n int, v T, err error) {
	r.mu.Lock()
	won := err == nil && r.winner == 0 && r.failure == nil
	if won {
		r.winner, r.value = n, v
	} else if n == 1 && r.winner == 0 {
		r.value, r.err = v, err
	}
	if r.ended++; r.ended == len(r.lanes) { // hedging is not for failures: nothing begins after the last
		r.close()
	}
	if won {
		r.stop(n)
	}
	r.mu.Unlock()
	if err == nil && !won && r.h.o.Close != nil {
		r.h.o.Close(v)
	}
}

func (r *race[T]) abort(n int, panicked any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failure == nil {
		r.failure = &abort{goexit: panicked == nil, value: panicked}
	}
	r.stop(n)
}

// stop ends all attempts but one. The caller holds r.mu.
func (r *race[T]) stop(but int) {
	r.close()
	for i, cancel := range r.lanes {
		if i+1 != but {
			cancel(ErrLost)
		}
	}
}

// close lets no other attempt begin. The caller holds r.mu.
func (r *race[T]) close() {
	r.over = true
	r.timer.Stop()
}

// finish leaves nothing running, and nothing open that no caller got.
func (r *race[T]) finish(delivered bool) {
	kept := 0
	r.mu.Lock()
	if delivered && r.h.o.Keep != nil {
		kept = r.winner
	}
	r.stop(kept)
	r.mu.Unlock()
	r.others.Wait()
	if r.winner != 0 && !delivered && r.h.o.Close != nil {
		r.h.o.Close(r.value)
	}
}
