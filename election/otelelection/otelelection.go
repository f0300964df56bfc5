// Package otelelection measures and traces an [election.Election] with OpenTelemetry.
//
//	e := election.New(locks, "scheduler", &election.Options{ID: host, Trace: otelelection.Trace(&otelelection.Options{
//		Tracer: otel.GetTracerProvider(), Meter: otel.GetMeterProvider(),
//	})})
//
// A campaign is a span "election campaign" that ends with the leadership or the error; it is the parent of the lock's spans.
// Metrics:
//
//	concord.election.campaign.duration  histogram, s     from standing for election to the leadership or the error; attribute outcome
//	concord.election.lead.duration      histogram, s     from the leadership to its end; attribute outcome
//	concord.election.is_leader          up-down counter  leaderships that last
//	concord.election.transitions        counter          leaderships that began, or ended; attribute outcome
//	concord.election.overruns           counter          work that went on when another leader may have started
//
// The outcome is won, cancelled or error for a campaign, resigned or lost for a leadership, and won, resigned or lost for a
// transition. Names of elections and IDs are attributes of spans (election.name, election.id), never of metrics.
package otelelection

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

	"github.com/concordkit/concord/election"
)

const scope = "github.com/concordkit/concord/election/otelelection"

// Options configure [Trace]. A nil *Options means the defaults.
type Options struct {
	// Tracer makes spans. Nil makes none; the global provider is not used.
	Tracer trace.TracerProvider
	// Meter makes metrics. Nil makes none.
	Meter metric.MeterProvider
	// Backend is the value of the attribute concord.lock.backend, such as "redis". Empty leaves it out.
	Backend string
}

// Trace returns hooks for [election.Options]. An instrument that the provider refuses is left out.
func Trace(o *Options) *election.Trace {
	if o == nil {
		o = new(Options)
	}
	var tracers trace.TracerProvider = tracenoop.NewTracerProvider()
	if o.Tracer != nil {
		tracers = o.Tracer
	}
	i := newInstruments(o)
	tracer := tracers.Tracer(scope)
	return &election.Trace{
		Campaign: func(ctx context.Context, c election.Candidate) (context.Context, func(error)) {
			start := time.Now()
			ctx, span := tracer.Start(ctx, "election campaign")
			if span.IsRecording() {
				span.SetAttributes(attribute.String("election.name", c.Election), attribute.String("election.id", c.ID))
			}
			return ctx, func(err error) {
				i.campaign.Record(ctx, time.Since(start).Seconds(), i.outcomes[campaignOutcome(err)])
				if err != nil {
					span.RecordError(err)
					span.SetStatus(codes.Error, campaignOutcome(err))
				}
				span.End()
			}
		},
		Lead: func(ctx context.Context, _ election.Candidate, _ election.Term) func(error) {
			start := time.Now()
			i.leader.Add(ctx, 1, i.plain)
			i.transitions.Add(ctx, 1, i.outcomes["won"])
			return func(cause error) {
				outcome := i.outcomes["lost"]
				if errors.Is(cause, election.ErrResigned) {
					outcome = i.outcomes["resigned"]
				}
				i.lead.Record(ctx, time.Since(start).Seconds(), outcome)
				i.leader.Add(ctx, -1, i.plain)
				i.transitions.Add(ctx, 1, outcome)
			}
		},
		Overrun: func(ctx context.Context, _ election.Candidate, _ election.Term) func() {
			i.overruns.Add(ctx, 1, i.plain)
			return func() {}
		},
	}
}

func campaignOutcome(err error) string {
	switch {
	case err == nil:
		return "won"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "cancelled"
	}
	return "error"
}

// instruments are the metrics with the attributes that they are recorded with, made once.
type instruments struct {
	campaign, lead        metric.Float64Histogram
	leader                metric.Int64UpDownCounter
	transitions, overruns metric.Int64Counter
	plain                 metric.MeasurementOption
	outcomes              map[string]metric.MeasurementOption
}

func newInstruments(o *Options) *instruments {
	var meters metric.MeterProvider = metricnoop.NewMeterProvider()
	if o.Meter != nil {
		meters = o.Meter
	}
	m := meters.Meter(scope)
	i := &instruments{outcomes: map[string]metric.MeasurementOption{}}
	// On an error the SDK returns an instrument that does nothing.
	i.campaign, _ = m.Float64Histogram("concord.election.campaign.duration", metric.WithUnit("s"),
		metric.WithDescription("Time from standing for election to the leadership or the error."))
	i.lead, _ = m.Float64Histogram("concord.election.lead.duration", metric.WithUnit("s"),
		metric.WithDescription("Time from a leadership to its end."))
	i.leader, _ = m.Int64UpDownCounter("concord.election.is_leader", metric.WithUnit("{leadership}"),
		metric.WithDescription("Leaderships that last."))
	i.transitions, _ = m.Int64Counter("concord.election.transitions", metric.WithUnit("{transition}"),
		metric.WithDescription("Leaderships that began or ended."))
	i.overruns, _ = m.Int64Counter("concord.election.overruns", metric.WithUnit("{overrun}"),
		metric.WithDescription("Work that went on when another leader may have started."))
	var base []attribute.KeyValue
	if o.Backend != "" {
		base = append(base, attribute.String("concord.lock.backend", o.Backend))
	}
	i.plain = metric.WithAttributeSet(attribute.NewSet(base...))
	for _, outcome := range []string{"won", "cancelled", "error", "resigned", "lost"} {
		all := append([]attribute.KeyValue{attribute.String("outcome", outcome)}, base...)
		i.outcomes[outcome] = metric.WithAttributeSet(attribute.NewSet(all...))
	}
	return i
}
