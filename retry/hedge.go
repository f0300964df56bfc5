package retry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrLost is the cause of the context of a hedged attempt that another one has overtaken.
var ErrLost = errors.New("retry: another attempt was first")

// HedgeOptions configure [NewHedger]. A nil *HedgeOptions means the defaults.
type HedgeOptions[T any] struct {
	// Delay is how long each attempt has before the next one begins beside it, 1 µs to 24 h. It defaults to 100 ms. With a
	// Quantile it is what counts until 100 attempts are known.
	Delay time.Duration
	// Quantile makes the delay the time that this part of the recent attempts took at most: with 0.95, one call of twenty is
	// hedged. It is above 0 and at most 0.99, and exact to about a fifth. 0 means off.
	Quantile float64
	// Max is how many attempts there are at most, the first included, 1 to 100. It defaults to 2.
	Max int
	// Budget is asked before each attempt but the first, and told of each success. Where it is empty the attempts that run
	// go on. Nil means no limit. A policy for the same work should have the same Budget; it tells of the success too, so that each
	// counts twice.
	Budget Budget
	// Close is called with the result of each attempt that succeeded too late, so that it can free what is in it, on the goroutine of
	// that attempt. Nil drops the result.
	Close func(T)
	// Keep is for results that live on their context, such as the body of a response: it gets the result of the winner, and
	// what ends its context, and returns what the caller gets. Without it, the winner's context ends when Hedge returns.
	Keep func(v T, release context.CancelFunc) T
	// Trace observes hedges, by its Hedge hook. Nil costs nothing.
	Trace *Trace
}

const (
	maxHedges   = 100
	maxQuantile = 0.99
)

func (o HedgeOptions[T]) filled() (HedgeOptions[T], error) {
	o.Delay = cmp.Or(o.Delay, defaultDelay)
	o.Max = cmp.Or(o.Max, 2)
	if o.Quantile != 0 {
		if err := fraction("Quantile", o.Quantile, maxQuantile); err != nil {
			return o, err
		}
	}
	return o, cmp.Or(within("Delay", o.Delay, minDelay, longest), within("Max", o.Max, 1, maxHedges))
}

// Hedger says when work that takes long is begun once more. [NewHedger] makes it. It may be used concurrently.
type Hedger[T any] struct {
	o      HedgeOptions[T]
	recent *sketch // nil without a Quantile
}

// NewHedger returns a Hedger. The first value of o that breaks its rule is an error that wraps [ErrInvalid].
func NewHedger[T any](o *HedgeOptions[T]) (*Hedger[T], error) {
	if o == nil {
		o = new(HedgeOptions[T])
	}
	filled, err := o.filled()
	if err != nil {
		return nil, err
	}
	h := &Hedger[T]{o: filled}
	if filled.Quantile > 0 {
		h.recent = newSketch(filled.Quantile)
	}
	return h, nil
}

// Delay returns how long an attempt that begins now has before the next.
func (h *Hedger[T]) Delay() time.Duration {
	if h.recent != nil {
		if d := time.Duration(h.recent.at.Load()); d > 0 {
			return d
		}
	}
	return h.o.Delay
}

// Hedge calls fn, and calls it again beside itself while no call has succeeded for the delay of h, and returns the first
// success. The contexts of the others then end with the cause [ErrLost].
//
// It is only for work that may be done twice at the same time, such as reads. Never hedge under an idempotency key: the
// second attempt would be refused as a duplicate in flight. h knows nothing of keys, so whoever sets one calls fn without it.
//
// The first attempt runs on the caller's goroutine, the others on one each. Hedge returns when all have, so nothing runs on
// afterwards, and an fn that goes on after the end of its context is waited for. An attempt that fails before another has
// begun ends the call: hedging is against slowness, [Policy] against failure. Where all fail, the error is that of the first. A
// panic of any, or [runtime.Goexit], passes on to the caller's goroutine.
//
// Below a repetition (see [Depth]) there is one attempt. Without ctx, h or fn the error wraps [ErrInvalid].
func Hedge[T any](ctx context.Context, h *Hedger[T], fn func(context.Context) (T, error)) (T, error) {
	if ctx == nil || h == nil || h.o.Max == 0 || fn == nil {
		var zero T
		return zero, fmt.Errorf("%w: Hedge with nil: want a context, a Hedger and a func", ErrInvalid)
	}
	if h.o.Max == 1 || Depth(ctx) > 0 {
		v, err := fn(ctx)
		if err != nil {
			return v, err
		}
		h.deposit()
		if h.o.Keep != nil {
			v = h.o.Keep(v, func() {}) // it lives on ctx
		}
		return v, nil
	}
	return newRace(ctx, h, fn).run()
}

func (h *Hedger[T]) deposit() {
	if h.o.Budget != nil {
		h.o.Budget.Deposit()
	}
}
