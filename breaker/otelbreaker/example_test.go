package otelbreaker_test

import (
	"fmt"
	"log"

	"go.opentelemetry.io/otel"

	"github.com/concordkit/concord/breaker"
	"github.com/concordkit/concord/breaker/otelbreaker"
)

func ExampleTrace() {
	trace := otelbreaker.Trace(&otelbreaker.Options{Meter: otel.GetMeterProvider(), Name: "billing"})
	b, err := breaker.New("billing", &breaker.Options{Trace: trace})
	if err != nil {
		log.Fatal(err)
	}
	b.ForceOpen("maintenance")
	fmt.Println(b.State())
	// Output: forced-open
}

func ExampleObserve() {
	b, err := breaker.New("billing", nil)
	if err != nil {
		log.Fatal(err)
	}
	stop, err := otelbreaker.Observe(&otelbreaker.Options{Meter: otel.GetMeterProvider(), Name: "billing"}, b)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(stop())
	// Output: <nil>
}

func ExampleObserveSet() {
	hosts, err := breaker.NewSet(nil)
	if err != nil {
		log.Fatal(err)
	}
	stop, err := otelbreaker.ObserveSet(&otelbreaker.Options{Meter: otel.GetMeterProvider(), Name: "hosts"}, hosts)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(stop())
	// Output: <nil>
}
