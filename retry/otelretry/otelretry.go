// Package otelretry measures and traces retries with OpenTelemetry.
//
//	p, err := retry.New(&retry.Options{Trace: otelretry.Trace(&otelretry.Options{
//		Meter: otel.GetMeterProvider(), Name: "billing",
//	})})
//
// Metrics:
//
//	concord.retry.attempts   histogram  attempts of a call; attribute concord.retry.outcome
//	concord.retry.exhausted  counter    calls that were given up; attribute concord.retry.outcome
//	concord.retry.hedges     counter    attempts that were begun beside others
//
// All have the attribute concord.retry.name if there is a name in the options. The outcome is "success" or the name of a
// [retry.StopCause], such as "out of attempts".
//
// The span of the context gets an event "retry" for each retry, with retry.attempt, the number of the attempt that failed,
// retry.wait in seconds, and error.type; and an event "retry.hedge" for each hedge. Attempts have no spans of their own:
// clients make them.
package otelretry

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"

	"github.com/concordkit/concord/retry"
)

const scope = "github.com/concordkit/concord/retry/otelretry"

// Options configure [Trace]. A nil *Options means the defaults.
type Options struct {
	// Meter makes the metrics. Nil makes none; the global provider is not used.
	Meter metric.MeterProvider
	// Name is the value of the attribute concord.retry.name. Empty leaves it out.
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
		kv = append(kv, attribute.String("concord.retry.name", o.Name))
	}
	return metric.WithAttributeSet(attribute.NewSet(kv...))
}

// Trace returns hooks for [retry.Options] and [retry.HedgeOptions]. An instrument that the provider refuses is left out.
func Trace(o *Options) *retry.Trace {
	m := o.meter()
	// On an error the SDK returns an instrument that does nothing.
	attempts, _ := m.Int64Histogram("concord.retry.attempts", metric.WithUnit("{attempt}"),
		metric.WithDescription("Attempts of a call."), metric.WithExplicitBucketBoundaries(1, 2, 3, 4, 5, 7, 10, 20, 50))
	exhausted, _ := m.Int64Counter("concord.retry.exhausted", metric.WithUnit("{call}"),
		metric.WithDescription("Calls that were given up."))
	hedges, _ := m.Int64Counter("concord.retry.hedges", metric.WithUnit("{attempt}"),
		metric.WithDescription("Attempts that were begun beside others."))
	outcome := func(name string) metric.MeasurementOption {
		return o.with(attribute.String("concord.retry.outcome", name))
	}
	var stops [retry.LoopLeft + 1]metric.MeasurementOption // made once: calls come often
	for s := range stops {
		stops[s] = outcome(retry.StopCause(s).String())
	}
	success, named := outcome("success"), o.with()
	return &retry.Trace{
		Attempt: func(ctx context.Context, n int) (context.Context, func(error)) {
			return ctx, func(err error) {
				if err == nil {
					attempts.Record(ctx, int64(n), success)
				}
			}
		},
		Wait: func(ctx context.Context, w retry.Wait) {
			if span := trace.SpanFromContext(ctx); span.IsRecording() {
				span.AddEvent("retry", trace.WithAttributes(attribute.Int("retry.attempt", w.Attempt),
					attribute.Float64("retry.wait", w.For.Seconds()), attribute.String("error.type", fmt.Sprintf("%T", w.Err))))
			}
		},
		Stop: func(ctx context.Context, e *retry.Error) {
			attempts.Record(ctx, int64(e.Attempts), stops[e.Stop])
			exhausted.Add(ctx, 1, stops[e.Stop])
		},
		Hedge: func(ctx context.Context, n int) {
			hedges.Add(ctx, 1, named)
			if span := trace.SpanFromContext(ctx); span.IsRecording() {
				span.AddEvent("retry.hedge", trace.WithAttributes(attribute.Int("retry.attempt", n)))
			}
		},
	}
}
