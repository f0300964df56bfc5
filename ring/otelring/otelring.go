// Package otelring measures a [ring.Ring] with OpenTelemetry.
//
//	stop, err := otelring.Observe(r, &otelring.Options{Meter: otel.GetMeterProvider(), Name: "cache"})
//
// Metrics, read when the provider collects, so that lookups pay nothing:
//
//	concord.ring.nodes              gauge   members; attribute state
//	concord.ring.load.max_over_mean gauge   largest share of the keys that an active node owns, relative to its weight
//
// Both have the attribute concord.ring.name if there is a name. Names of nodes are not attributes.
package otelring

import (
	"context"
	"fmt"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"

	"github.com/concordkit/concord/ring"
)

const scope = "github.com/concordkit/concord/ring/otelring"

// Options configure [Observe]. A nil *Options means the defaults.
type Options struct {
	// Meter makes the metrics. Nil makes none; the global provider is not used.
	Meter metric.MeterProvider
	// Name is the value of the attribute concord.ring.name. Empty leaves it out.
	Name string
}

// Observe measures r until stop is called. It fails if the provider refuses an instrument.
func Observe(r *ring.Ring, o *Options) (stop func() error, err error) {
	if o == nil {
		o = new(Options)
	}
	var meters metric.MeterProvider = metricnoop.NewMeterProvider()
	if o.Meter != nil {
		meters = o.Meter
	}
	m := meters.Meter(scope)
	nodes, err := m.Int64ObservableGauge("concord.ring.nodes", metric.WithUnit("{node}"),
		metric.WithDescription("Members of the ring, by state."))
	if err != nil {
		return nil, fmt.Errorf("otelring: %w", err)
	}
	load, err := m.Float64ObservableGauge("concord.ring.load.max_over_mean", metric.WithUnit("1"),
		metric.WithDescription("Largest share of the keys that an active node owns, relative to its weight."))
	if err != nil {
		return nil, fmt.Errorf("otelring: %w", err)
	}
	var base []attribute.KeyValue
	if o.Name != "" {
		base = append(base, attribute.String("concord.ring.name", o.Name))
	}
	fullest := remember(fullest)
	registration, err := m.RegisterCallback(func(_ context.Context, to metric.Observer) error {
		v := r.View()
		for state, n := range count(v) {
			all := append([]attribute.KeyValue{attribute.String("state", ring.State(state).String())}, base...)
			to.ObserveInt64(nodes, int64(n), metric.WithAttributes(all...))
		}
		if most := fullest(v); most > 0 {
			to.ObserveFloat64(load, most, metric.WithAttributes(base...))
		}
		return nil
	}, nodes, load)
	if err != nil {
		return nil, fmt.Errorf("otelring: %w", err)
	}
	return registration.Unregister, nil
}

// count returns how many members are in each state.
func count(v *ring.View) [ring.Down + 1]int {
	var n [ring.Down + 1]int
	for _, node := range v.Nodes() {
		n[node.State]++
	}
	return n
}

// fullest returns the largest share relative to weight, 0 if nobody owns anything.
func fullest(v *ring.View) float64 {
	var weight, most float64
	for _, n := range v.Nodes() {
		if n.State == ring.Active {
			weight += n.Weight
		}
	}
	for n, share := range v.Shares() {
		most = max(most, share*weight/n.Weight)
	}
	return most
}

// remember calls f once for each view: adding up shares takes about a millisecond, and collections come often.
func remember(f func(*ring.View) float64) func(*ring.View) float64 {
	var mu sync.Mutex
	var of *ring.View
	var was float64
	return func(v *ring.View) float64 {
		mu.Lock()
		defer mu.Unlock()
		if of != v {
			of, was = v, f(v)
		}
		return was
	}
}
