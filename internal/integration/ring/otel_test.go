// Package ring_test holds the tests of ring that need what the library itself does not require.
package ring_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/concordkit/concord/ring"
	"github.com/concordkit/concord/ring/otelring"
)

func TestTelemetry(t *testing.T) {
	r, err := ring.New([]ring.Node{{ID: "a"}, {ID: "b", Weight: 3}, {ID: "c", State: ring.Leaving}}, nil)
	require.NoError(t, err)
	reader := metric.NewManualReader()
	stop, err := otelring.Observe(r, &otelring.Options{
		Meter: metric.NewMeterProvider(metric.WithReader(reader)), Name: "cache",
	})
	require.NoError(t, err)
	nodes, load := collect(t, reader)
	require.Equal(t, map[string]int64{"active": 2, "joining": 0, "leaving": 1, "down": 0}, nodes)
	require.InDelta(t, 1, load, 0.02)

	_, err = r.Set([]ring.Node{{ID: "d"}})
	require.NoError(t, err)
	nodes, load = collect(t, reader)
	require.Equal(t, map[string]int64{"active": 1, "joining": 0, "leaving": 0, "down": 0}, nodes)
	require.Equal(t, 1., load)

	_, err = r.Set(nil)
	require.NoError(t, err)
	_, load = collect(t, reader)
	require.Zero(t, load, "nobody owns anything: no figure")

	require.NoError(t, stop())
	nodes, _ = collect(t, reader)
	require.Empty(t, nodes)
}

func collect(t *testing.T, reader metric.Reader) (nodes map[string]int64, load float64) {
	t.Helper()
	var data metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &data))
	nodes = map[string]int64{}
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch d := m.Data.(type) {
			case metricdata.Gauge[int64]:
				require.Equal(t, "concord.ring.nodes", m.Name)
				for _, p := range d.DataPoints {
					state, _ := p.Attributes.Value("state")
					name, _ := p.Attributes.Value("concord.ring.name")
					require.Equal(t, "cache", name.AsString())
					require.Equal(t, 2, p.Attributes.Len(), "names of nodes are no attributes")
					nodes[state.AsString()] = p.Value
				}
			case metricdata.Gauge[float64]:
				require.Equal(t, "concord.ring.load.max_over_mean", m.Name)
				load = d.DataPoints[0].Value
			}
		}
	}
	return nodes, load
}

func TestNoTelemetry(t *testing.T) {
	r, err := ring.New(nil, nil)
	require.NoError(t, err)
	stop, err := otelring.Observe(r, nil)
	require.NoError(t, err)
	require.NoError(t, stop())
}
