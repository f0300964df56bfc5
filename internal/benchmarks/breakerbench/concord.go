package breakerbench

import (
	"context"
	"fmt"
	"time"

	"github.com/concordkit/concord/breaker"
)

// options are ours for the rules that all sides have.
func options(rate float64) *breaker.Options {
	return &breaker.Options{
		Rules:   breaker.Rules{Window: window, FailureRate: rate, MinCalls: minCalls},
		OpenFor: openFor,
		Jitter:  -1,
	}
}

// concord is ours, by Do.
var concord = library{"Do", func(rate float64) (guard, error) { return newDo(options(rate)) }}

// watchful is ours with the rules that no peer has.
var watchful = library{"Do, with slow calls and calls in flight", func(rate float64) (guard, error) {
	o := options(rate)
	o.Rules.SlowAfter, o.Rules.InFlight = time.Second, 1000
	return newDo(o)
}}

// concordStreak is ours without a window.
var concordStreak = library{"Do, Consecutive only", func(float64) (guard, error) {
	o := options(-1)
	o.Rules.Consecutive = streak
	return newDo(o)
}}

func newDo(o *breaker.Options) (guard, error) {
	b, err := breaker.New("billing", o)
	return doing{b}, err
}

type doing struct{ *breaker.Breaker }

func (b doing) calls(ctx context.Context, n int, w *work) {
	f := func(context.Context) error { return w.run() }
	for range n {
		_ = b.Do(ctx, f)
	}
}

// concordValue is ours, by Value.
var concordValue = library{"Value", func(rate float64) (guard, error) {
	b, err := breaker.New("billing", options(rate))
	return valuing{b}, err
}}

type valuing struct{ *breaker.Breaker }

func (b valuing) calls(ctx context.Context, n int, w *work) {
	f := func(context.Context) (int, error) { return w.ran, w.run() }
	for range n {
		_, _ = breaker.Value(ctx, b.Breaker, f)
	}
}

// concordAllow is ours, by Allow and Done.
var concordAllow = library{"Allow and Done", func(rate float64) (guard, error) {
	b, err := breaker.New("billing", options(rate))
	return allowing{b}, err
}}

type allowing struct{ *breaker.Breaker }

func (b allowing) calls(_ context.Context, n int, w *work) {
	for range n {
		if p, err := b.Allow(); err == nil {
			p.Done(w.run())
		}
	}
}

// concordSet is ours, by a Set, with a breaker for each of so many keys, in turn.
func concordSet(keys int) library {
	return library{fmt.Sprintf("Set.Do, %d keys in turn", keys), func(rate float64) (guard, error) {
		s, err := breaker.NewSet(&breaker.SetOptions{Breaker: *options(rate)})
		return spreading{s, hosts(keys)}, err
	}}
}

type spreading struct {
	*breaker.Set
	keys []string
}

func (s spreading) calls(ctx context.Context, n int, w *work) {
	f := func(context.Context) error { return w.run() }
	for i := range n {
		_ = s.Do(ctx, s.keys[i%len(s.keys)], f)
	}
}

// hosts returns n keys.
func hosts(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("host-%05d.internal:443", i)
	}
	return keys
}
