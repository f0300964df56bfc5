package ratio

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTableReportsAShortGoal(t *testing.T) {
	table := &Table{Rows: []Row{
		{Goal: "free cycle", Ours: "60 µs", Peer: "30 µs", Value: 2, Target: AtMost(1.6, Times), Note: "a|b"},
		{Goal: "crash", Ours: "3.2 ms", Value: 3.2, Target: AtMost(20, "ms")},
		{Goal: "least", Value: 0.9, Target: AtLeast(0.8, "of the mean")},
		{Goal: "heap", Ours: "1 kB"},
	}, Facts: []string{"Measured on a test."}}
	var b strings.Builder
	require.NoError(t, table.Write(&b))
	require.Equal(t, `| goal | ours | peer | ratio | target | | note |
|---|---|---|---|---|---|---|
| free cycle | 60 µs | 30 µs | 2× | ≤ 1.6× | short | a\|b |
| crash | 3.2 ms | – | – | ≤ 20 ms | ok | – |
| least | – | – | – | ≥ 0.8 of the mean | ok | – |
| heap | 1 kB | – | – | – | info | – |

2 of 3 goals are met.
Measured on a test.
`, b.String())
	require.Equal(t, 1, table.Short())
	require.Equal(t, 1, table.ExitCode())
}

func TestTableExitsWithZeroWhenAllIsMet(t *testing.T) {
	require.Zero(t, new(Table).ExitCode())
	require.Zero(t, (&Table{Rows: []Row{{Value: 1.6, Target: AtMost(1.6, Times)}, {Value: 7}}}).ExitCode())
	two := &Table{Rows: []Row{{Value: 2, Target: AtMost(1, Times)}, {Value: 0, Target: AtLeast(1, Times)}}}
	require.Equal(t, 2, two.Short())
	require.Equal(t, 1, two.ExitCode())
}

func TestBound(t *testing.T) {
	for _, v := range []float64{1.01, math.Inf(1), math.NaN()} {
		require.True(t, AtMost(1, "").Short(v), "%v", v)
	}
	for _, v := range []float64{0.99, math.Inf(-1), math.NaN()} {
		require.True(t, AtLeast(1, "").Short(v), "%v", v)
	}
	require.False(t, AtMost(0, "").Short(0))
	require.True(t, AtMost(0, "").Short(0.1), "0 is a limit like any other")
	require.Equal(t, "≤ 0", AtMost(0, "").String())
	require.False(t, Bound{}.Short(math.NaN()), "nothing was asked")
}

func TestMedian(t *testing.T) {
	require.Equal(t, 2.0, Median([]float64{3, 1, 2}))
	require.Equal(t, 2.5, Median([]time.Duration{4, 1, 2, 3}))
	require.True(t, math.IsNaN(Median[float64](nil)))
}
