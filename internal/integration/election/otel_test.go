package election_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/concordkit/concord/election"
	"github.com/concordkit/concord/election/otelelection"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/memlock"
	"github.com/concordkit/concord/lock/otellock"
)

func TestTelemetry(t *testing.T) {
	synctest.Test(t, telemetry)
}

func telemetry(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	reader := metric.NewManualReader()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	o := &election.Options{ID: "secret-id", Trace: otelelection.Trace(&otelelection.Options{
		Tracer: tracer, Meter: metric.NewMeterProvider(metric.WithReader(reader)), Backend: "mem",
	})}
	b := memlock.New()
	locks := lock.New(b, &lock.Options{TTL: time.Minute, Trace: otellock.Trace(&otellock.Options{Tracer: tracer})})
	e := election.New(locks, "secret-name", o)
	l, err := e.Campaign(t.Context())
	require.NoError(t, err)
	_, work := tracer.Tracer("").Start(l.Context(), "work")
	work.End()
	wait, stop := context.WithTimeout(t.Context(), time.Second)
	defer stop()
	_, err = e.Campaign(wait)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, l.Resign())
	ctx, cancel := context.WithCancel(t.Context())
	deaf := lock.New(mute{b}, &lock.Options{TTL: time.Minute})
	err = election.New(deaf, "secret-name", o).Run(ctx, func(ctx context.Context, _ election.Term) error {
		<-ctx.Done()
		time.Sleep(time.Minute)
		cancel()
		return nil
	})
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, deaf.Close(t.Context()))
	require.NoError(t, locks.Close(t.Context()))
	_, err = e.Campaign(t.Context())
	require.ErrorIs(t, err, lock.ErrClosed)

	campaigns, parents := 0, 0
	for _, span := range spans.Ended() {
		switch span.Name() {
		case "election campaign":
			campaigns++
			require.Contains(t, span.Attributes(), attribute.String("election.name", "secret-name"))
			require.Contains(t, span.Attributes(), attribute.String("election.id", "secret-id"))
		case "lock acquire":
			parents++
			require.True(t, span.Parent().IsValid(), "a lock's span belongs to its campaign")
		case "work":
			require.False(t, span.Parent().IsValid(), "work is not part of the campaign")
		}
	}
	require.Equal(t, 4, campaigns)
	require.Equal(t, 3, parents) // the Locker that goes deaf has no trace
	require.Equal(t, codes.Error, spans.Ended()[len(spans.Ended())-1].Status().Code)

	var data metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &data))
	counts := map[string]int{}
	count := func(name string, attrs attribute.Set, n int) {
		for _, kv := range attrs.ToSlice() {
			require.NotContains(t, kv.Value.AsString(), "secret", "names are no attributes of metrics")
		}
		backend, _ := attrs.Value("concord.lock.backend")
		require.Equal(t, "mem", backend.AsString())
		outcome, _ := attrs.Value("outcome")
		counts[name+" "+outcome.AsString()] = n
	}
	for _, m := range data.ScopeMetrics[0].Metrics {
		switch d := m.Data.(type) {
		case metricdata.Histogram[float64]:
			require.Equal(t, "s", m.Unit)
			for _, p := range d.DataPoints {
				count(m.Name, p.Attributes, int(p.Count))
			}
		case metricdata.Sum[int64]:
			for _, p := range d.DataPoints {
				count(m.Name, p.Attributes, int(p.Value))
			}
		}
	}
	require.Equal(t, map[string]int{
		"concord.election.campaign.duration won":       2,
		"concord.election.campaign.duration cancelled": 1,
		"concord.election.campaign.duration error":     1,
		"concord.election.lead.duration resigned":      1,
		"concord.election.lead.duration lost":          1,
		"concord.election.is_leader ":                  0,
		"concord.election.transitions won":             2,
		"concord.election.transitions resigned":        1,
		"concord.election.transitions lost":            1,
		"concord.election.overruns ":                   1,
	}, counts)
}

// mute is an engine that answers no renewal.
type mute struct{ lock.Backend }

func (mute) Renew(context.Context, []lock.Claim) ([]lock.State, error) {
	return nil, lock.ErrUnknownOutcome
}

func TestTelemetryOff(t *testing.T) {
	e := election.New(lock.New(memlock.New(), nil), "e", &election.Options{ID: "n", Trace: otelelection.Trace(nil)})
	l, err := e.Campaign(t.Context())
	require.NoError(t, err)
	require.NoError(t, l.Resign())
}
