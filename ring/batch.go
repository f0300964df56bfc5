package ring

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
)

// ErrQuorum reports that too few replicas of a key succeeded, or that there are too few. Those that succeeded have done
// their part, and what a failed call did its error may tell.
var ErrQuorum = errors.New("ring: no quorum")

// BatchOptions configure Batch. A nil *BatchOptions means the defaults.
type BatchOptions struct {
	// Replicas is how many nodes each key goes to; where fewer are active, to all of them. It defaults to 3.
	Replicas int
	// Quorum is how many of its replicas have to succeed for a key, at most Replicas. It defaults to more than half of
	// Replicas.
	Quorum int
	// Done is called exactly once, when the last call has returned, with the errors of all calls, joined; with nil if
	// nothing was called, as after bad input. Until then the calls use the context of Batch.
	Done func(error)
}

// Batch calls the replicas of many keys, each node once and all at the same time, with the indexes of its keys in
// ascending order. It returns nil as soon as every key has its quorum, counted for each key on its own, and an error that
// wraps [ErrQuorum] as soon as one can no longer reach it, or if the ring has too few nodes: then nothing is called. It
// also returns when ctx ends, with its cause, and calls nothing if it has ended before.
//
// Calls that are not needed any more go on, so that a write reaches all replicas. Whoever cancels ctx when Batch returns
// ends them: cancel it in Options.Done instead. A call that panics fails.
func Batch(ctx context.Context, v *View, keys []string, call func(ctx context.Context, n Node, keys []int) error, o *BatchOptions) error {
	if o == nil {
		o = new(BatchOptions)
	}
	b, err := newBatch(v, keys, o)
	switch {
	case err != nil:
	case call == nil:
		err = fmt.Errorf("%w: nil call", ErrInvalid)
	case ctx.Err() != nil:
		err = fmt.Errorf("ring: batch: %w", context.Cause(ctx))
	}
	if err != nil {
		if o.Done != nil {
			o.Done(nil)
		}
		return err
	}
	returned := make(chan reply, len(b.calls)) // nobody who answers has to wait
	for node, of := range b.calls {
		go func() {
			r := reply{node, fmt.Errorf("ring: node %.40q: the call ended its goroutine", v.nodes[node].ID)}
			defer func() { returned <- r }()
			r.err = attempt(ctx, call, v.nodes[node], of)
		}()
	}
	decided := make(chan error, 1)
	go b.collect(returned, decided)
	select {
	case err := <-decided:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-decided: // Done may have ended ctx
		return err
	default:
		return fmt.Errorf("ring: batch: %w", context.Cause(ctx))
	}
}

// batch counts what has become of the keys.
type batch struct {
	keys   []string
	calls  map[uint16][]int // keys by node
	quorum int
	of     []int // replicas, by key
	good   []int
	bad    []int
	done   func(error)
}

type reply struct {
	node uint16
	err  error
}

func newBatch(v *View, keys []string, o *BatchOptions) (*batch, error) {
	replicas, quorum := o.Replicas, o.Quorum
	if replicas == 0 {
		replicas = 3
	}
	if quorum == 0 {
		quorum = replicas/2 + 1
	}
	switch {
	case v == nil:
		return nil, fmt.Errorf("%w: batch on a nil View", ErrInvalid)
	case replicas < 1 || replicas > MaxNodes:
		return nil, fmt.Errorf("%w: %d replicas: want 1 to %d", ErrInvalid, replicas, MaxNodes)
	case quorum < 1 || quorum > replicas:
		return nil, fmt.Errorf("%w: quorum of %d: want 1 to the replicas, %d", ErrInvalid, quorum, replicas)
	}
	n := len(keys)
	b := &batch{keys, map[uint16][]int{}, quorum, make([]int, n), make([]int, n), make([]int, n), o.Done}
	if b.done == nil {
		b.done = func(error) {}
	}
	for i, key := range keys {
		v.replicas(v.Hash(key), replicas, func(node uint16) {
			b.calls[node] = append(b.calls[node], i)
			b.of[i]++
		})
		if b.of[i] < quorum {
			return nil, fmt.Errorf("%w: key %.40q has %d replicas: want %d", ErrQuorum, key, b.of[i], quorum)
		}
	}
	return b, nil
}

// collect counts until all have answered. It tells decided once.
func (b *batch) collect(returned <-chan reply, decided chan<- error) {
	var errs []error
	open, told := len(b.keys), false
	tell := func(err error) {
		if !told {
			told = true
			decided <- err
		}
	}
	if open == 0 {
		tell(nil)
	}
	for range len(b.calls) {
		r := <-returned
		if r.err != nil {
			errs = append(errs, r.err)
		}
		for _, i := range b.calls[r.node] {
			switch {
			case r.err == nil:
				if b.good[i]++; b.good[i] == b.quorum {
					open--
				}
			default:
				if b.bad[i]++; b.bad[i] == b.of[i]-b.quorum+1 {
					tell(fmt.Errorf("%w: key %.40q: %d of %d replicas failed: want %d to succeed: %w",
						ErrQuorum, b.keys[i], b.bad[i], b.of[i], b.quorum, r.err))
				}
			}
		}
		if open == 0 {
			tell(nil)
		}
	}
	b.done(errors.Join(errs...))
}

// attempt makes an error of a panic: the caller cannot recover it, since it does not run on its goroutine.
func attempt(ctx context.Context, call func(context.Context, Node, []int) error, n Node, keys []int) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case error:
			err = fmt.Errorf("panic: %w\n%s", r, debug.Stack())
		default:
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
		if err != nil {
			err = fmt.Errorf("ring: node %.40q: %w", n.ID, err)
		}
	}()
	return call(ctx, n, keys)
}
