package breakerbench

import (
	"context"
	"fmt"
	"runtime"

	"github.com/sony/gobreaker/v2"

	"github.com/concordkit/concord/breaker"
	"github.com/concordkit/concord/internal/benchmarks/ratio"
)

// crowd is how many breakers are weighed.
const crowd = 10_000

// heap measures what a breaker keeps, its place in a map included, beside the string of its key, which the caller has.
func heap(context.Context) ([]ratio.Row, error) {
	ours, err := heapOf(func(keys []string) (any, error) { return crowded(options(half), keys) })
	if err != nil {
		return nil, err
	}
	streaks := options(-1)
	streaks.Rules.Consecutive = streak
	small, err := heapOf(func(keys []string) (any, error) { return crowded(streaks, keys) })
	if err != nil {
		return nil, err
	}
	peer, err := heapOf(func(keys []string) (any, error) {
		m := map[string]*gobreaker.CircuitBreaker[int]{}
		for _, key := range keys {
			m[key] = gobreaker.NewCircuitBreaker[int](settings(half))
		}
		return m, nil
	})
	return []ratio.Row{{
		Goal: fmt.Sprintf("heap of a breaker, %d in a Set", crowd),
		Ours: fmt.Sprintf("%.0f bytes", ours),
		Peer: fmt.Sprintf("gobreaker in a map %.0f bytes", peer),
		Note: fmt.Sprintf("%.0f bytes without a rate to look at, such as with Consecutive only", small),
	}}, err
}

// crowded returns a Set with a breaker for each key.
func crowded(o *breaker.Options, keys []string) (*breaker.Set, error) {
	s, err := breaker.NewSet(&breaker.SetOptions{Breaker: *o, Idle: -1})
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		s.Get(key)
	}
	return s, nil
}

// heapOf returns the bytes for each key that what open returns keeps. It is opened twice, so that what the first one leaves in
// pools does not count.
func heapOf(open func(keys []string) (any, error)) (float64, error) {
	keys := hosts(crowd)
	if _, err := open(keys); err != nil {
		return 0, err
	}
	before := ratio.LiveHeap()
	v, err := open(keys)
	n := ratio.LiveHeap() - before
	runtime.KeepAlive(v)
	runtime.KeepAlive(keys)
	return float64(n) / crowd, err
}
