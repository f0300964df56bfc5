package retry_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/concordkit/concord/retry"
	"github.com/concordkit/concord/retry/otelretry"
)

func TestTelemetry(t *testing.T) {
	reader := metric.NewManualReader()
	p, err := retry.New(&retry.Options{
		Delay: -1,
		Trace: otelretry.Trace(&otelretry.Options{Meter: metric.NewMeterProvider(metric.WithReader(reader)), Name: "billing"}),
	})
	require.NoError(t, err)
	spans := tracetest.NewSpanRecorder()
	ctx, span := trace.NewTracerProvider(trace.WithSpanProcessor(spans)).Tracer("test").Start(t.Context(), "call")
	errDown := errors.New("down")
	calls := 0
	require.NoError(t, p.Do(ctx, func(context.Context) error {
		if calls++; calls == 1 {
			return errDown
		}
		return nil
	}))
	require.Error(t, p.Do(ctx, func(context.Context) error { return errDown }))
	span.End()

	var data metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &data))
	counts := map[string]int64{}
	for _, m := range data.ScopeMetrics[0].Metrics {
		switch v := m.Data.(type) {
		case metricdata.Sum[int64]:
			for _, p := range v.DataPoints {
				counts[m.Name] += p.Value
			}
		case metricdata.Histogram[int64]:
			for _, p := range v.DataPoints {
				counts[m.Name] += int64(p.Count)
			}
		}
	}
	require.Equal(t, map[string]int64{"concord.retry.attempts": 2, "concord.retry.exhausted": 1}, counts)
	events := spans.Ended()[0].Events()
	require.Len(t, events, 3, "one retry of the first call, two of the second")
	for _, e := range events {
		require.Equal(t, "retry", e.Name)
	}
}
