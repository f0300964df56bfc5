package otelretry_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"go.opentelemetry.io/otel"

	"github.com/concordkit/concord/retry"
	"github.com/concordkit/concord/retry/otelretry"
)

func ExampleTrace() {
	trace := otelretry.Trace(&otelretry.Options{Meter: otel.GetMeterProvider(), Name: "billing"})
	p, err := retry.New(&retry.Options{Delay: time.Millisecond, Trace: trace})
	if err != nil {
		log.Fatal(err)
	}
	failures := 2
	fmt.Println(p.Do(context.Background(), func(context.Context) error {
		if failures--; failures >= 0 {
			return errors.New("connection reset")
		}
		return nil
	}))
	// Output: <nil>
}
