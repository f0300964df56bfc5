package retrybench

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
	"github.com/concordkit/concord/retry"
	"github.com/concordkit/concord/retry/membudget"
)

var libraries = []library{
	hand, concord, concordBackground, concordValue, concordLoop, concordBudget,
	cenkalti, avast, avastThrottled, sethvargo, failsafeExecutor,
}

// Every library must run the same work: to success in the last attempt, and no attempt more.
func TestEveryLibraryRetries(t *testing.T) {
	for _, l := range libraries {
		t.Run(l.name, func(t *testing.T) {
			for failures := range attempts {
				r, err := l.open()
				require.NoError(t, err)
				w := &work{failures: failures}
				r.calls(t.Context(), 7, w)
				require.Equal(t, 7, w.succeeded)
				require.Zero(t, w.failed)
			}
			r, err := l.open()
			require.NoError(t, err)
			w := &work{failures: attempts}
			r.calls(t.Context(), 1, w)
			require.Zero(t, w.succeeded)
			require.Equal(t, attempts, w.failed, "four attempts, not more")
		})
	}
}

func TestOpsFindWhatWasNotMeant(t *testing.T) {
	for _, l := range libraries {
		op, err := contest{failures: attempts}.through(t.Context(), l)
		require.NoError(t, err)
		require.Error(t, op(3), l.name)
	}
}

func TestRows(t *testing.T) {
	o := &ratio.Options{Slice: time.Millisecond, Pairs: 1}
	goal, err := contest{concord, avast, 0, atMost(1e9)}.measure(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, "Do, first try", goal.Goal)
	require.Empty(t, goal.Note)
	told, err := contest{concord, avast, 3, info}.measure(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, "Do, 3 failures", told.Goal)
	require.Regexp(t, `^[\d.e+-]+×$`, told.Note)
}

// What is counted is what a call allocates, and not what a loop of calls does.
func TestAllocations(t *testing.T) {
	for _, c := range []struct {
		l        library
		failures int
		n        float64
	}{{hand, 3, 0}, {concord, 0, 0}, {concord, 3, 1}, {avast, 0, 0}} {
		op, err := contest{failures: c.failures}.through(t.Context(), c.l)
		require.NoError(t, err)
		require.InDelta(t, c.n, perCall(op), 0.01, c.l.name)
	}
	short, err := contest{concord, hand, 3, none}.count(t.Context())
	require.NoError(t, err)
	require.True(t, short.Short())
	require.Equal(t, marked, short.Note)
}

func TestSharedBudgets(t *testing.T) {
	for _, hot := range []int{1, nodes} {
		s, err := spend(t.Context(), membudget.New(), 1000, hot)
		require.NoError(t, err)
		require.EqualValues(t, 1000, s.granted+s.refund)
		require.Positive(t, s.calls)
		require.False(t, s.rows()[0].Short())
	}
}

// generous has half as many tokens again as it should.
type generous struct{ left atomic.Int64 }

func (g *generous) Take(_ context.Context, _ retry.Bucket, n int) (int, error) {
	if g.left.Add(-int64(n)) < 0 {
		return 0, nil
	}
	return n, nil
}

func (*generous) Give(context.Context, retry.Bucket, int) error { return nil }

func TestOverspendIsFound(t *testing.T) {
	g := new(generous)
	g.left.Store(1500)
	s, err := spend(t.Context(), g, 1000, nodes)
	require.NoError(t, err)
	require.True(t, s.rows()[0].Short())
}

func TestRowsOfSharedBudgets(t *testing.T) {
	rows := spending{size: 1000, hot: 1, granted: 800, calls: 16, refund: 200}.rows()
	require.Len(t, rows, 3)
	require.False(t, rows[0].Short())
	require.True(t, rows[1].Short(), "two calls per hundred")
	require.True(t, rows[2].Short(), "80 %")
	require.InDelta(t, 80, rows[2].Value, 1e-9)
}

// Peers that do not wait would make the row mean nothing; none may be slower than its deadline either.
func TestImpossibleWaits(t *testing.T) {
	for _, p := range patient {
		g := p.measure(t.Context())
		require.GreaterOrEqual(t, g.took, left, p.name)
		require.Less(t, g.took, pause, p.name)
	}
	g := ours.measure(t.Context())
	require.True(t, g.known)
	require.Less(t, g.took, left)
	require.False(t, waiter{fail: func(context.Context) error { return nil }}.measure(t.Context()).known)
}
