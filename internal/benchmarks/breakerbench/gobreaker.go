package breakerbench

import (
	"context"

	"github.com/sony/gobreaker/v2"
)

// settings are gobreaker's for the rules that all sides have.
func settings(rate float64) gobreaker.Settings {
	return gobreaker.Settings{
		Name:         "billing",
		Interval:     window,
		BucketPeriod: window / steps,
		Timeout:      openFor,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			n := c.Requests - c.TotalExclusions
			return n >= minCalls && float64(c.TotalFailures) >= rate*float64(n)
		},
	}
}

// rolling is gobreaker, by Execute.
var rolling = library{"gobreaker", func(rate float64) (guard, error) {
	return executing{gobreaker.NewCircuitBreaker[int](settings(rate))}, nil
}}

// gobreakerStreak is gobreaker without a window.
var gobreakerStreak = library{"gobreaker, ConsecutiveFailures only", func(float64) (guard, error) {
	return executing{gobreaker.NewCircuitBreaker[int](gobreaker.Settings{
		Timeout:     openFor,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= streak },
	})}, nil
}}

type executing struct{ *gobreaker.CircuitBreaker[int] }

func (b executing) calls(_ context.Context, n int, w *work) {
	f := func() (int, error) { return w.ran, w.run() }
	for range n {
		_, _ = b.Execute(f)
	}
}

// twoStep is gobreaker for calls that are not one func.
var twoStep = library{"gobreaker TwoStep", func(rate float64) (guard, error) {
	return stepping{gobreaker.NewTwoStepCircuitBreaker[int](settings(rate))}, nil
}}

type stepping struct {
	*gobreaker.TwoStepCircuitBreaker[int]
}

func (b stepping) calls(_ context.Context, n int, w *work) {
	for range n {
		if done, err := b.Allow(); err == nil {
			done(w.run())
		}
	}
}

// distributed is gobreaker with its state in a store.
var distributed = library{"gobreaker distributed, its store a map in memory", func(rate float64) (guard, error) {
	b, err := gobreaker.NewDistributedCircuitBreaker[int](store{}, settings(rate))
	return sharing{b}, err
}}

type sharing struct {
	*gobreaker.DistributedCircuitBreaker[int]
}

func (b sharing) calls(_ context.Context, n int, w *work) {
	f := func() (int, error) { return w.ran, w.run() }
	for range n {
		_, _ = b.Execute(f)
	}
}

// store keeps states for one goroutine, which needs no lock.
type store map[string][]byte

func (store) Lock(string) error { return nil }

func (store) Unlock(string) error { return nil }

func (s store) GetData(name string) ([]byte, error) { return s[name], nil }

func (s store) SetData(name string, data []byte) error {
	s[name] = data
	return nil
}
