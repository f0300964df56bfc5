package breakertest_test

import (
	"testing"

	"github.com/concordkit/concord/breaker"
	"github.com/concordkit/concord/breaker/breakertest"
)

// In a test of your own breaker, that func is TestMyBreaker.
func ExampleRun() {
	_ = func(t *testing.T) {
		breakertest.Run(t, func(o *breaker.Options) (breakertest.Subject, error) {
			b, err := breaker.New("mine", o)
			if err != nil {
				return breakertest.Subject{}, err
			}
			return breakertest.Of(b), nil
		}, &breakertest.Options{Histories: 10_000})
	}
}
