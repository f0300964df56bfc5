// Package breaker_test holds the tests of breaker that need what the library itself does not require.
package breaker_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/concordkit/concord/breaker"
	"github.com/concordkit/concord/breaker/otelbreaker"
)

func TestTelemetry(t *testing.T) {
	reader := metric.NewManualReader()
	o := &otelbreaker.Options{Meter: metric.NewMeterProvider(metric.WithReader(reader)), Name: "billing"}
	set, err := breaker.NewSet(&breaker.SetOptions{
		Breaker: breaker.Options{Rules: breaker.Rules{Consecutive: 1}, Trace: otelbreaker.Trace(o)},
	})
	require.NoError(t, err)
	stop, err := otelbreaker.ObserveSet(o, set)
	require.NoError(t, err)

	errDown := errors.New("down")
	fail := func(context.Context) error { return errDown }
	require.ErrorIs(t, set.Do(t.Context(), "a", fail), errDown)
	set.Get("b").ForceOpen("test")
	set.Get("c")

	spans := tracetest.NewSpanRecorder()
	ctx, span := trace.NewTracerProvider(trace.WithSpanProcessor(spans)).Tracer("test").Start(t.Context(), "call")
	for range 3 {
		require.ErrorIs(t, set.Do(ctx, "a", fail), breaker.ErrOpen)
	}
	require.ErrorIs(t, set.Do(context.Background(), "b", fail), breaker.ErrOpen)
	span.End()

	require.Equal(t, map[string]int64{
		"concord.breaker.transitions open consecutive failures": 1,
		"concord.breaker.transitions forced-open manual":        1,
		"concord.breaker.rejected open":                         3,
		"concord.breaker.rejected forced-open":                  1,
		"concord.breaker.state closed":                          1,
		"concord.breaker.state open":                            1,
		"concord.breaker.state half-open":                       0,
		"concord.breaker.state forced-open":                     1,
		"concord.breaker.state disabled":                        0,
	}, collect(t, reader))

	require.Len(t, spans.Ended(), 1)
	events := spans.Ended()[0].Events()
	require.Len(t, events, 3)
	require.Equal(t, "breaker.open", events[0].Name)
	require.Equal(t, []attribute.KeyValue{
		attribute.String("breaker.name", "a"), attribute.String("breaker.state", "open"),
	}, events[0].Attributes)

	require.NoError(t, stop())
	require.NotContains(t, collect(t, reader), "concord.breaker.state closed")
}

// collect returns the points by the name of the metric, the state and the cause.
func collect(t *testing.T, reader metric.Reader) map[string]int64 {
	t.Helper()
	var data metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &data))
	points := map[string]int64{}
	add := func(metric string, all []metricdata.DataPoint[int64]) {
		for _, p := range all {
			name, _ := p.Attributes.Value("concord.breaker.name")
			require.Equal(t, "billing", name.AsString())
			state, _ := p.Attributes.Value("concord.breaker.state")
			key := metric + " " + state.AsString()
			attributes := 2
			if cause, ok := p.Attributes.Value("cause"); ok {
				key += " " + cause.AsString()
				attributes++
			}
			require.Equal(t, attributes, p.Attributes.Len(), "names of breakers are no attributes")
			points[key] = p.Value
		}
	}
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch d := m.Data.(type) {
			case metricdata.Gauge[int64]:
				add(m.Name, d.DataPoints)
			case metricdata.Sum[int64]:
				add(m.Name, d.DataPoints)
			}
		}
	}
	return points
}

func TestNoTelemetry(t *testing.T) {
	b, err := breaker.New("a", &breaker.Options{Trace: otelbreaker.Trace(nil)})
	require.NoError(t, err)
	stop, err := otelbreaker.Observe(nil, b)
	require.NoError(t, err)
	b.ForceOpen("test")
	require.ErrorIs(t, b.Do(t.Context(), func(context.Context) error { return nil }), breaker.ErrOpen)
	require.NoError(t, stop())
}
