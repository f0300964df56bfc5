// Package otelbreaker measures breakers with OpenTelemetry.
//
//	o := &otelbreaker.Options{Meter: otel.GetMeterProvider(), Name: "billing"}
//	b, err := breaker.New("billing", &breaker.Options{Trace: otelbreaker.Trace(o)})
//	if err != nil {
//		return err
//	}
//	stop, err := otelbreaker.Observe(o, b)
//
// Metrics of [Trace], counted as things happen:
//
//	concord.breaker.transitions  counter  changes of state; attributes concord.breaker.state, the new one, and cause
//	concord.breaker.rejected     counter  calls that were refused; attribute concord.breaker.state
//
// and of [Observe] and [ObserveSet], read when the provider collects:
//
//	concord.breaker.state        gauge    breakers in each state; attribute concord.breaker.state
//
// All have the attribute concord.breaker.name if there is a name in the options. The names of the breakers themselves, which
// may be hosts, are not attributes of metrics. A call that is refused adds the event "breaker.open" to the span of its
// context, with breaker.name and breaker.state.
package otelbreaker

import (
	"context"
	"fmt"
	"iter"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"

	"github.com/concordkit/concord/breaker"
)

const scope = "github.com/concordkit/concord/breaker/otelbreaker"

// Options configure the funcs of this package. A nil *Options means the defaults.
type Options struct {
	// Meter makes the metrics. Nil makes none; the global provider is not used.
	Meter metric.MeterProvider
	// Name is the value of the attribute concord.breaker.name. Empty leaves it out.
	Name string
}

func (o *Options) meter() metric.Meter {
	if o == nil || o.Meter == nil {
		return metricnoop.NewMeterProvider().Meter(scope)
	}
	return o.Meter.Meter(scope)
}

// with returns the attributes of a point.
func (o *Options) with(kv ...attribute.KeyValue) metric.MeasurementOption {
	if o != nil && o.Name != "" {
		kv = append(kv, attribute.String("concord.breaker.name", o.Name))
	}
	return metric.WithAttributeSet(attribute.NewSet(kv...))
}

func stateAttribute(s breaker.State) attribute.KeyValue {
	return attribute.String("concord.breaker.state", s.String())
}

// Trace returns hooks for [breaker.Options]. An instrument that the provider refuses is left out.
func Trace(o *Options) *breaker.Trace {
	m := o.meter()
	// On an error the SDK returns an instrument that does nothing.
	transitions, _ := m.Int64Counter("concord.breaker.transitions", metric.WithUnit("{transition}"),
		metric.WithDescription("Changes of state."))
	rejected, _ := m.Int64Counter("concord.breaker.rejected", metric.WithUnit("{call}"),
		metric.WithDescription("Calls that were refused."))
	var refusals [breaker.Disabled + 1]metric.MeasurementOption // made once: refusals come often
	for s := range refusals {
		refusals[s] = o.with(stateAttribute(breaker.State(s)))
	}
	return &breaker.Trace{
		Transition: func(t breaker.Transition) {
			transitions.Add(context.Background(), 1, o.with(stateAttribute(t.To), attribute.String("cause", t.Cause.String())))
		},
		Refuse: func(ctx context.Context, e *breaker.OpenError) {
			rejected.Add(ctx, 1, refusals[e.State])
			if span := trace.SpanFromContext(ctx); span.IsRecording() {
				span.AddEvent("breaker.open", trace.WithAttributes(
					attribute.String("breaker.name", e.Name), attribute.String("breaker.state", e.State.String())))
			}
		},
	}
}

// Observe measures the states of some breakers until stop is called. It fails if the provider refuses the instrument.
func Observe(o *Options, breakers ...*breaker.Breaker) (stop func() error, err error) {
	return observe(o, func(yield func(string, *breaker.Breaker) bool) {
		for _, b := range breakers {
			if !yield(b.Name(), b) {
				return
			}
		}
	})
}

// ObserveSet measures the states of the breakers of a Set, whichever there are, until stop is called. It fails if the
// provider refuses the instrument.
func ObserveSet(o *Options, s *breaker.Set) (stop func() error, err error) {
	return observe(o, s.All())
}

func observe(o *Options, all iter.Seq2[string, *breaker.Breaker]) (stop func() error, err error) {
	m := o.meter()
	state, err := m.Int64ObservableGauge("concord.breaker.state", metric.WithUnit("{breaker}"),
		metric.WithDescription("Breakers in each state."))
	if err != nil {
		return nil, fmt.Errorf("otelbreaker: %w", err)
	}
	registration, err := m.RegisterCallback(func(_ context.Context, to metric.Observer) error {
		var n [breaker.Disabled + 1]int64
		for _, b := range all {
			n[b.State()]++
		}
		for s, n := range n {
			to.ObserveInt64(state, n, o.with(stateAttribute(breaker.State(s))))
		}
		return nil
	}, state)
	if err != nil {
		return nil, fmt.Errorf("otelbreaker: %w", err)
	}
	return registration.Unregister, nil
}
