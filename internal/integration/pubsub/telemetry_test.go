// Package pubsub_test holds the tests of pubsub that need servers, or what the library itself does not require.
package pubsub_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	api "go.opentelemetry.io/otel/trace"

	"github.com/concordkit/concord/pubsub"
	"github.com/concordkit/concord/pubsub/mempubsub"
	"github.com/concordkit/concord/pubsub/otelpubsub"
)

func TestTelemetry(t *testing.T) {
	reader := metric.NewManualReader()
	spans := tracetest.NewSpanRecorder()
	hooks := otelpubsub.Trace(&otelpubsub.Options{
		Tracer: trace.NewTracerProvider(trace.WithSpanProcessor(spans)),
		Meter:  metric.NewMeterProvider(metric.WithReader(reader)),
	})
	ctx := t.Context()

	q := pubsub.NewQueue(mempubsub.NewQueue(nil), &pubsub.QueueOptions{Trace: hooks})
	handled := make(chan struct{}, 10)
	c, err := q.Consume(ctx, "orders", "billing", func(ctx context.Context, d *pubsub.Delivery) error {
		defer func() { handled <- struct{}{} }()
		require.True(t, api.SpanContextFromContext(ctx).IsValid())
		require.Equal(t, "kept", d.Header["mine"])
		if d.ID == "bad" {
			return pubsub.Dead(errors.New("bad"))
		}
		return nil
	}, &pubsub.ConsumeOptions{Concurrency: 1})
	require.NoError(t, err)
	mine := pubsub.Header{"mine": "kept"}
	require.NoError(t, q.Publish(ctx, "orders", pubsub.Message{ID: "good", Header: mine}, pubsub.Message{ID: "bad", Header: mine}))
	<-handled
	<-handled
	require.NoError(t, c.Drain(ctx))
	require.Equal(t, pubsub.Header{"mine": "kept"}, mine, "the caller's header is the caller's")

	bus := pubsub.NewBus(mempubsub.NewBus(), &pubsub.BusOptions{Trace: hooks})
	sub, err := bus.Subscribe(ctx, "news.*", &pubsub.SubscribeOptions{Buffer: 1})
	require.NoError(t, err)
	require.NoError(t, bus.Publish(ctx, "news.a", pubsub.Message{}, pubsub.Message{}, pubsub.Message{}))
	for m, err := range sub.All(ctx) {
		if err == nil {
			require.True(t, api.SpanContextFromContext(otelpubsub.Context(ctx, &m)).IsRemote())
			break
		}
		require.ErrorIs(t, err, pubsub.ErrGap)
	}

	var data metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(ctx, &data))
	counts := map[string]int64{}
	for _, m := range data.ScopeMetrics[0].Metrics {
		switch v := m.Data.(type) {
		case metricdata.Sum[int64]:
			for _, p := range v.DataPoints {
				counts[m.Name] += p.Value
			}
		case metricdata.Histogram[float64]:
			for _, p := range v.DataPoints {
				counts[m.Name] += int64(p.Count)
			}
		}
	}
	require.Equal(t, map[string]int64{
		"messaging.client.operation.duration": 2, "messaging.client.sent.messages": 5, "messaging.process.duration": 2,
		"concord.pubsub.gaps": 1, "concord.pubsub.dropped": 2, "concord.pubsub.dead": 1,
	}, counts)

	byName := map[string][]trace.ReadOnlySpan{}
	for _, s := range spans.Ended() {
		byName[s.Name()] = append(byName[s.Name()], s)
	}
	require.Len(t, byName["send orders"], 1)
	require.Len(t, byName["process orders"], 2)
	for _, s := range byName["process orders"] {
		require.Len(t, s.Links(), 1)
		require.Equal(t, byName["send orders"][0].SpanContext().SpanID(), s.Links()[0].SpanContext.SpanID())
		require.Equal(t, api.SpanKindConsumer, s.SpanKind())
	}
}
