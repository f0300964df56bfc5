package lock_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/memlock"
	"github.com/concordkit/concord/lock/otellock"
)

func TestTelemetry(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	reader := metric.NewManualReader()
	trace := otellock.Trace(&otellock.Options{
		Tracer:  sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)),
		Meter:   metric.NewMeterProvider(metric.WithReader(reader)),
		Backend: "mem",
	})
	queueing, queued := queueing()
	l := lock.New(memlock.New(), &lock.Options{Trace: lock.JoinTraces(trace, queueing)})
	lease, err := l.Acquire(t.Context(), "secret-name")
	require.NoError(t, err)
	_, err = l.TryAcquire(t.Context(), "secret-name")
	require.ErrorIs(t, err, lock.ErrHeld)
	got := queue(t, &process{locks: l}, queued, "secret-name")
	require.NoError(t, lease.Release())
	require.NoError(t, (<-got).Release())
	require.NoError(t, l.Close(t.Context()))
	_, err = l.Acquire(t.Context(), "secret-name")
	require.ErrorIs(t, err, lock.ErrClosed)

	ended := spans.Ended()
	require.Len(t, ended, 4)
	for _, span := range ended {
		require.Equal(t, "lock acquire", span.Name())
		require.Contains(t, span.Attributes(), attribute.String("lock.name", "secret-name"))
	}
	require.Equal(t, "queued", ended[2].Events()[0].Name)
	require.Equal(t, codes.Unset, ended[1].Status().Code, "a lock that others hold is no failure")
	require.Equal(t, codes.Error, ended[3].Status().Code)

	var data metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &data))
	counts := map[string]uint64{}
	for _, m := range data.ScopeMetrics[0].Metrics {
		switch d := m.Data.(type) {
		case metricdata.Histogram[float64]:
			require.Equal(t, "s", m.Unit)
			for _, p := range d.DataPoints {
				outcome, _ := p.Attributes.Value("outcome")
				counts[m.Name+" "+outcome.AsString()] = p.Count
				require.Equal(t, 2, p.Attributes.Len(), "names are no attributes of metrics")
			}
		case metricdata.Sum[int64]:
			counts[m.Name] = uint64(d.DataPoints[0].Value)
		}
	}
	require.Equal(t, map[string]uint64{
		"concord.lock.wait.duration acquired": 2,
		"concord.lock.wait.duration held":     1,
		"concord.lock.wait.duration error":    1,
		"concord.lock.hold.duration released": 2,
		"concord.lock.contended":              1,
	}, counts)
}

func TestTelemetryOff(t *testing.T) {
	l := lock.New(memlock.New(), &lock.Options{Trace: otellock.Trace(nil)})
	lease, err := l.Acquire(t.Context(), "a")
	require.NoError(t, err)
	require.NoError(t, lease.Release())
}
