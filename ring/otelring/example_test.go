package otelring_test

import (
	"fmt"
	"log"

	"go.opentelemetry.io/otel"

	"github.com/concordkit/concord/ring"
	"github.com/concordkit/concord/ring/otelring"
)

func ExampleObserve() {
	r, err := ring.New([]ring.Node{{ID: "a"}, {ID: "b"}}, nil)
	if err != nil {
		log.Fatal(err)
	}
	stop, err := otelring.Observe(r, &otelring.Options{Meter: otel.GetMeterProvider(), Name: "cache"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(stop())
	// Output: <nil>
}
