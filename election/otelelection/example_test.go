package otelelection_test

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel"

	"github.com/concordkit/concord/election"
	"github.com/concordkit/concord/election/otelelection"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/memlock"
)

func ExampleTrace() {
	trace := otelelection.Trace(&otelelection.Options{
		Tracer:  otel.GetTracerProvider(),
		Meter:   otel.GetMeterProvider(),
		Backend: "mem",
	})
	locks := lock.New(memlock.New(), nil)
	e := election.New(locks, "scheduler", &election.Options{ID: "node-1", Trace: trace})
	_, err := e.Campaign(context.Background())
	fmt.Println(err)
	// Output: <nil>
}
