package election

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// stopped is the context of a lease in a process that was stopped: the clock says that it has ended, no timer has run yet.
type stopped struct{ context.Context }

func (stopped) Err() error { return context.Canceled }

func TestWorkIsToldByTheClock(t *testing.T) {
	ctx := &termContext{context.Background(), stopped{context.Background()}, context.Background()}
	require.ErrorIs(t, ctx.Err(), context.Canceled)
}

func TestContextsThatAreDerivedEndAtOnce(t *testing.T) {
	lease, end := context.WithCancel(context.Background())
	caller, stop := context.WithCancel(context.Background())
	defer stop()
	ctx := &termContext{lease, lease, caller}
	derived, stop2 := context.WithTimeout(ctx, time.Hour)
	defer stop2()
	end()
	require.Error(t, derived.Err(), "without a goroutine that brings the news")
	require.NoError(t, caller.Err())
}

func TestNoTraceCostsNothing(t *testing.T) {
	ctx := t.Context()
	for name, trace := range map[string]*Trace{"nil": nil, "without hooks": {}} {
		allocs := testing.AllocsPerRun(100, func() {
			_, done := trace.campaign(ctx, Candidate{})
			trace.lead(ctx, Candidate{}, 1)(nil)
			done(nil)
		})
		require.Zero(t, allocs, name)
		require.False(t, trace.overruns())
	}
}
