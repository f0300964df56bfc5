// Package otelpubsub measures and traces a [pubsub.Bus] and a [pubsub.Queue] with OpenTelemetry, and carries the trace context
// in the headers of messages.
//
//	q := pubsub.NewQueue(backend, &pubsub.QueueOptions{Trace: otelpubsub.Trace(&otelpubsub.Options{
//		Tracer: otel.GetTracerProvider(), Meter: otel.GetMeterProvider(), System: "nats",
//	})})
//
// Spans and attributes follow the semantic conventions for messaging: "send <topic>" is a producer span, and its context
// goes into the headers of the messages; "process <topic>" is a consumer span around a handler, linked to the one that sent
// the message. The loop of a Bus has no call to put a span around: [Context] gives the context that a message came with. Metrics:
//
//	messaging.client.operation.duration  histogram, s  of Publish; attribute error.type
//	messaging.client.sent.messages       counter       messages that were published; attribute error.type
//	messaging.process.duration           histogram, s  of handlers; attribute error.type
//	concord.pubsub.gaps                  counter       gaps that loops of a Bus were told of
//	concord.pubsub.dropped               counter       messages that did not fit into a buffer
//	concord.pubsub.dead                  counter       dead letters
//
// All have the attributes messaging.system and messaging.destination.name, or the pattern of a subscription as the template
// (messaging.destination.template); so take topics from a source that is bounded. Keys and payloads are in no span.
package otelpubsub

import (
	"context"
	"maps"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/concordkit/concord/pubsub"
)

const scope = "github.com/concordkit/concord/pubsub/otelpubsub"

// Options configure [Trace]. A nil *Options means the defaults.
type Options struct {
	// Tracer makes spans. Nil makes none, and headers stay as they are; the global provider is not used.
	Tracer trace.TracerProvider
	// Meter makes metrics. Nil makes none.
	Meter metric.MeterProvider
	// System is the value of the attribute messaging.system, such as "nats" or "redis". It defaults to "concord".
	System string
}

// propagator writes the trace context as the W3C has it.
var propagator = propagation.TraceContext{}

// Context returns ctx with the trace context that m came with, as a remote parent, for whoever reads a Bus.
func Context(ctx context.Context, m *pubsub.Message) context.Context {
	return propagator.Extract(ctx, propagation.MapCarrier(m.Header))
}

// Trace returns hooks for [pubsub.BusOptions] and [pubsub.QueueOptions]. An instrument that the provider refuses is left out.
func Trace(o *Options) *pubsub.Trace {
	if o == nil {
		o = new(Options)
	}
	var tracers trace.TracerProvider = tracenoop.NewTracerProvider()
	if o.Tracer != nil {
		tracers = o.Tracer
	}
	system := o.System
	if system == "" {
		system = "concord"
	}
	i := newInstruments(o.Meter, system)
	tracer := tracers.Tracer(scope)
	return &pubsub.Trace{
		Publish: func(ctx context.Context, topic string, ms []pubsub.Message) (context.Context, func(error)) {
			start := time.Now()
			ctx, span := tracer.Start(ctx, "send "+topic, trace.WithSpanKind(trace.SpanKindProducer))
			if span.IsRecording() {
				span.SetAttributes(i.system, destination(topic), operation("send"),
					attribute.Int("messaging.batch.message_count", len(ms)))
				if len(ms) == 1 && ms[0].ID != "" {
					span.SetAttributes(attribute.String("messaging.message.id", ms[0].ID))
				}
			}
			if span.SpanContext().IsValid() {
				for n := range ms {
					h := propagation.MapCarrier{}
					maps.Copy(h, ms[n].Header)
					propagator.Inject(ctx, h)
					ms[n].Header = pubsub.Header(h)
				}
			}
			return ctx, func(err error) {
				attrs := i.attributes(err, destination(topic))
				i.publish.Record(ctx, time.Since(start).Seconds(), attrs)
				i.sent.Add(ctx, int64(len(ms)), attrs)
				end(span, err)
			}
		},
		Handle: func(ctx context.Context, d *pubsub.Delivery) (context.Context, func(error)) {
			start := time.Now()
			sender := trace.SpanContextFromContext(Context(context.Background(), &d.Message))
			options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindConsumer)}
			if sender.IsValid() {
				options = append(options, trace.WithLinks(trace.Link{SpanContext: sender}))
			}
			ctx, span := tracer.Start(ctx, "process "+d.Topic, options...)
			if span.IsRecording() {
				span.SetAttributes(i.system, destination(d.Topic), operation("process"),
					attribute.String("messaging.consumer.group.name", d.Group),
					attribute.String("messaging.message.id", d.ID),
					attribute.Int("concord.pubsub.attempt", d.Attempt))
			}
			return ctx, func(err error) {
				i.process.Record(ctx, time.Since(start).Seconds(), i.attributes(err, destination(d.Topic)))
				end(span, err)
			}
		},
		Gap: func(e *pubsub.GapError) {
			attrs := i.attributes(nil, attribute.String("messaging.destination.template", e.Pattern))
			i.gaps.Add(context.Background(), 1, attrs)
			i.dropped.Add(context.Background(), int64(e.Dropped), attrs)
		},
		Dead: func(d pubsub.DeadLetter) {
			i.dead.Add(context.Background(), 1, i.attributes(nil, destination(d.Topic)))
		},
	}
}

func destination(topic string) attribute.KeyValue {
	return attribute.String("messaging.destination.name", topic)
}

func operation(name string) attribute.KeyValue {
	return attribute.String("messaging.operation.name", name)
}

func end(span trace.Span, err error) {
	if err != nil {
		span.RecordError(err)
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}

// instruments are the metrics.
type instruments struct {
	system              attribute.KeyValue
	publish, process    metric.Float64Histogram
	sent, gaps, dropped metric.Int64Counter
	dead                metric.Int64Counter
}

func newInstruments(meters metric.MeterProvider, system string) *instruments {
	if meters == nil {
		meters = metricnoop.NewMeterProvider()
	}
	m := meters.Meter(scope)
	i := &instruments{system: attribute.String("messaging.system", system)}
	// On an error the SDK returns an instrument that does nothing.
	i.publish, _ = m.Float64Histogram("messaging.client.operation.duration", metric.WithUnit("s"),
		metric.WithDescription("Duration of Publish."))
	i.process, _ = m.Float64Histogram("messaging.process.duration", metric.WithUnit("s"),
		metric.WithDescription("Duration of a handler."))
	i.sent, _ = m.Int64Counter("messaging.client.sent.messages", metric.WithUnit("{message}"),
		metric.WithDescription("Messages that were published."))
	i.gaps, _ = m.Int64Counter("concord.pubsub.gaps", metric.WithUnit("{gap}"),
		metric.WithDescription("Gaps that loops were told of."))
	i.dropped, _ = m.Int64Counter("concord.pubsub.dropped", metric.WithUnit("{message}"),
		metric.WithDescription("Messages that did not fit into a buffer."))
	i.dead, _ = m.Int64Counter("concord.pubsub.dead", metric.WithUnit("{message}"),
		metric.WithDescription("Messages that became dead letters."))
	return i
}

// attributes returns the attributes of a measurement.
func (i *instruments) attributes(err error, where attribute.KeyValue) metric.MeasurementOption {
	attrs := []attribute.KeyValue{i.system, where}
	if err != nil {
		attrs = append(attrs, attribute.String("error.type", "_OTHER"))
	}
	return metric.WithAttributeSet(attribute.NewSet(attrs...))
}
