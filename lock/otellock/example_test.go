package otellock_test

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel"

	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/memlock"
	"github.com/concordkit/concord/lock/otellock"
)

func ExampleTrace() {
	trace := otellock.Trace(&otellock.Options{
		Tracer:  otel.GetTracerProvider(),
		Meter:   otel.GetMeterProvider(),
		Backend: "mem",
	})
	locks := lock.New(memlock.New(), &lock.Options{Trace: trace})
	_, err := locks.Acquire(context.Background(), "a")
	fmt.Println(err)
	// Output: <nil>
}
