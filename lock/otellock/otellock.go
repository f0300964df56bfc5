// Package otellock measures and traces a [lock.Locker] with OpenTelemetry.
//
//	locks := lock.New(backend, &lock.Options{Trace: otellock.Trace(&otellock.Options{
//		Tracer: otel.GetTracerProvider(), Meter: otel.GetMeterProvider(),
//	})})
//
// An acquire is a span "lock acquire", with an event "queued" where it had to wait. Metrics:
//
//	concord.lock.wait.duration  histogram, s   from the call to the lease or the error; attribute outcome
//	concord.lock.hold.duration  histogram, s   from the lease to its end; attribute outcome
//	concord.lock.contended      counter        claims that had to wait
//	concord.lock.lost           counter        leases that were lost
//
// The outcome is acquired, held, cancelled or error for a wait, and released or lost for a hold. Names of locks are
// attributes of spans (lock.name), never of metrics.
package otellock

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/concordkit/concord/lock"
)

const scope = "github.com/concordkit/concord/lock/otellock"

// Options configure [Trace]. A nil *Options means the defaults.
type Options struct {
	// Tracer makes spans. Nil makes none; the global provider is not used.
	Tracer trace.TracerProvider
	// Meter makes metrics. Nil makes none.
	Meter metric.MeterProvider
	// Backend is the value of the attribute concord.lock.backend, such as "redis". Empty leaves it out.
	Backend string
}

// Trace returns hooks for [lock.Options]. An instrument that the provider refuses is left out.
func Trace(o *Options) *lock.Trace {
	if o == nil {
		o = new(Options)
	}
	var tracers trace.TracerProvider = tracenoop.NewTracerProvider()
	if o.Tracer != nil {
		tracers = o.Tracer
	}
	i := newInstruments(o)
	tracer := tracers.Tracer(scope)
	return &lock.Trace{
		Acquire: func(ctx context.Context, c lock.Claim) (context.Context, func(error)) {
			start := time.Now()
			ctx, span := tracer.Start(ctx, "lock acquire")
			if span.IsRecording() {
				span.SetAttributes(attribute.String("lock.name", c.Name), attribute.String("lock.dir", c.Dir))
			}
			return ctx, func(err error) {
				i.wait.Record(ctx, time.Since(start).Seconds(), i.outcomes[waitOutcome(err)])
				if err != nil && !errors.Is(err, lock.ErrHeld) {
					span.RecordError(err)
					span.SetStatus(codes.Error, waitOutcome(err))
				}
				span.End()
			}
		},
		Queued: func(ctx context.Context, _ lock.Claim) {
			trace.SpanFromContext(ctx).AddEvent("queued")
			i.contended.Add(ctx, 1, i.plain)
		},
		Hold: func(ctx context.Context, _ lock.Claim) func(error) {
			start := time.Now()
			return func(cause error) {
				if errors.Is(cause, lock.ErrReleased) {
					i.hold.Record(ctx, time.Since(start).Seconds(), i.outcomes["released"])
					return
				}
				i.hold.Record(ctx, time.Since(start).Seconds(), i.outcomes["lost"])
				i.lost.Add(ctx, 1, i.plain)
			}
		},
	}
}

func waitOutcome(err error) string {
	switch {
	case err == nil:
		return "acquired"
	case errors.Is(err, lock.ErrHeld):
		return "held"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "cancelled"
	}
	return "error"
}

// instruments are the metrics with the attributes that they are recorded with, made once.
type instruments struct {
	wait, hold      metric.Float64Histogram
	contended, lost metric.Int64Counter
	plain           metric.MeasurementOption
	outcomes        map[string]metric.MeasurementOption
}

func newInstruments(o *Options) *instruments {
	var meters metric.MeterProvider = metricnoop.NewMeterProvider()
	if o.Meter != nil {
		meters = o.Meter
	}
	m := meters.Meter(scope)
	i := &instruments{outcomes: map[string]metric.MeasurementOption{}}
	// On an error the SDK returns an instrument that does nothing.
	i.wait, _ = m.Float64Histogram("concord.lock.wait.duration", metric.WithUnit("s"),
		metric.WithDescription("Time from asking for a lock to the lease or the error."))
	i.hold, _ = m.Float64Histogram("concord.lock.hold.duration", metric.WithUnit("s"),
		metric.WithDescription("Time from a lease to its end."))
	i.contended, _ = m.Int64Counter("concord.lock.contended", metric.WithUnit("{claim}"),
		metric.WithDescription("Claims that had to wait."))
	i.lost, _ = m.Int64Counter("concord.lock.lost", metric.WithUnit("{lease}"),
		metric.WithDescription("Leases that ended without being released."))
	var base []attribute.KeyValue
	if o.Backend != "" {
		base = append(base, attribute.String("concord.lock.backend", o.Backend))
	}
	i.plain = metric.WithAttributeSet(attribute.NewSet(base...))
	for _, outcome := range []string{"acquired", "held", "cancelled", "error", "released", "lost"} {
		all := append([]attribute.KeyValue{attribute.String("outcome", outcome)}, base...)
		i.outcomes[outcome] = metric.WithAttributeSet(attribute.NewSet(all...))
	}
	return i
}
