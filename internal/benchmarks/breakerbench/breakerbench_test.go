package breakerbench

import (
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
)

var libraries = []library{
	concord, concordValue, concordAllow, concordSet(1), watchful,
	rolling, twoStep, distributed, failsafeExecutor, failsafeAlone,
}

// let makes n calls that end like m and returns how many were let through.
func let(t *testing.T, g guard, n int, m mix) int {
	t.Helper()
	return load{mix: m}.run(t.Context(), g, n)
}

// Every library must count good and bad calls and open by the same rule, or its numbers mean nothing.
func TestEveryLibraryCountsAndOpens(t *testing.T) {
	for _, l := range libraries {
		t.Run(l.name, func(t *testing.T) {
			g, err := l.open(half)
			require.NoError(t, err)
			require.Equal(t, minCalls-1, let(t, g, minCalls-1, allBad), "too few to open")
			require.Equal(t, 1, let(t, g, 10, allBad), "the 20th opens it")
			require.Zero(t, let(t, g, 10, allGood), "it stays open")

			g, err = l.open(half)
			require.NoError(t, err)
			require.Equal(t, 12, let(t, g, 12, allGood))
			require.Equal(t, 8, let(t, g, 8, allBad), "8 of 20")
			require.Equal(t, 4, let(t, g, 10, allBad), "12 of 24 is half")
		})
	}
}

func TestStreaksOpen(t *testing.T) {
	for _, l := range []library{concordStreak, gobreakerStreak} {
		g, err := l.open(half)
		require.NoError(t, err)
		require.Equal(t, 100, let(t, g, 100, mix{1, streak - 1}), l.name)
		require.Equal(t, 1, let(t, g, 1, allGood), l.name)
		require.Equal(t, streak, let(t, g, 10, allBad), l.name)
	}
}

// A Set has a breaker for each key.
func TestSetCountsByKey(t *testing.T) {
	g, err := concordSet(4).open(half)
	require.NoError(t, err)
	require.Equal(t, 4*minCalls, let(t, g, 5*minCalls, allBad))
}

// No load may open what it measures, on any side that it measures.
func TestLoadsLeaveGuardsAsTheyAre(t *testing.T) {
	for goroutines, contests := range map[int][]contest{
		1: slices.Concat(closed, failures, refusals), processors: shared,
	} {
		for _, c := range contests {
			for _, l := range []library{c.ours, c.peer} {
				op, err := c.load.through(t.Context(), l, goroutines)
				require.NoError(t, err)
				for _, n := range []int{1, 7, 50, 10_000, 10_001} {
					require.NoError(t, op(n), "%s, %s", l.name, c.load.name)
				}
			}
		}
	}
}

func TestOpsFindWhatWasNotMeant(t *testing.T) {
	for _, goroutines := range []int{1, processors} {
		opens := load{"opens", half, allBad, false}
		op, err := opens.through(t.Context(), concord, goroutines)
		require.NoError(t, err)
		require.Error(t, op(1000), "refusals are not calls")

		passes := load{"passes", half, allGood, true}
		op, err = passes.through(t.Context(), library{"open?", func(float64) (guard, error) { return concord.open(-1) }}, goroutines)
		require.NoError(t, err)
		require.Error(t, op(1000), "calls are not refusals")
	}
}

func TestMix(t *testing.T) {
	w := newWork(mix{2, 1})
	for i := range 9 {
		require.Equal(t, i%3 == 2, w.run() != nil)
	}
	require.Equal(t, 9, w.ran)
}

// What is counted is what a call allocates, and not what a loop does.
func TestAllocations(t *testing.T) {
	for _, c := range []struct {
		l     library
		d     load
		least float64
	}{
		{concord, successes, 0}, {rolling, successes, 0}, {twoStep, successes, 1}, {failsafeExecutor, successes, 5},
	} {
		n, err := c.d.allocations(t.Context(), c.l)
		require.NoError(t, err)
		require.GreaterOrEqual(t, n, c.least, c.l.name)
		require.Equal(t, c.least == 0, n == 0, c.l.name)
	}
}

func TestHeap(t *testing.T) {
	rows, err := heap(t.Context())
	require.NoError(t, err)
	require.Len(t, rows, 1)
	n, err := heapOf(func(keys []string) (any, error) { return make([]byte, 100*len(keys)), nil })
	require.NoError(t, err)
	require.InDelta(t, 100, n, 10)
}

func TestRows(t *testing.T) {
	o := &ratio.Options{Slice: 1e6, Pairs: 1}
	goal, err := contest{concord, rolling, successes, atMost(1e9)}.measure(t.Context(), 1, o)
	require.NoError(t, err)
	require.Equal(t, "Do, succeeding", goal.Goal)
	require.Empty(t, goal.Note)
	told, err := contest{concord, rolling, allRefused, info}.measure(t.Context(), processors, o)
	require.NoError(t, err)
	require.Equal(t, "Do, refused, 2 goroutines", told.Goal)
	require.Regexp(t, `^[\d.e+-]+×; wall \d+ ns to \d+ ns, [\d.e+-]+×`, told.Note)
}

// What one processor did in turn must not pass for what two did at once.
func TestGoroutinesInTurnMeetNoGoal(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	row, err := contest{concord, rolling, successes, atMost(1e9)}.measure(t.Context(), processors, &ratio.Options{Slice: 1e6, Pairs: 5})
	require.NoError(t, err)
	require.True(t, row.Short())
	require.Contains(t, row.Note, "not measured")
}
