package breakerbench

import (
	"context"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
)

// policy is failsafe-go's for the rules that all sides have. It rounds rates to a hundredth.
func policy(rate float64) circuitbreaker.CircuitBreaker[int] {
	return circuitbreaker.NewBuilder[int]().WithFailureRateThreshold(rate, minCalls, window).WithDelay(openFor).Build()
}

// failsafeExecutor is failsafe-go as its documentation shows it, with an executor that is made once.
var failsafeExecutor = library{"failsafe-go executor", func(rate float64) (guard, error) {
	return failsafeRun{failsafe.With(policy(rate))}, nil
}}

type failsafeRun struct{ failsafe.Executor[int] }

func (e failsafeRun) calls(_ context.Context, n int, w *work) {
	f := w.run
	for range n {
		_ = e.Run(f)
	}
}

// failsafeAlone is failsafe-go's breaker without an executor.
var failsafeAlone = library{"failsafe-go TryAcquirePermit", func(rate float64) (guard, error) {
	return failsafePermits{policy(rate)}, nil
}}

type failsafePermits struct {
	circuitbreaker.CircuitBreaker[int]
}

func (b failsafePermits) calls(_ context.Context, n int, w *work) {
	for range n {
		if !b.TryAcquirePermit() {
			continue
		}
		if err := w.run(); err != nil {
			b.RecordError(err)
		} else {
			b.RecordSuccess()
		}
	}
}
