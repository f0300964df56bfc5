package lockbench

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/benchmarks/redisproc"
)

func TestShareOf(t *testing.T) {
	s := shareOf([][]time.Duration{{1, 3}, {2, 2, 2, 8}})
	require.InDelta(t, 8.0/3, s.wait, 1e-9)
	require.InDelta(t, 2.0/3, s.least, 1e-9)
	require.Equal(t, 6.0, s.total)
	require.Zero(t, shareOf([][]time.Duration{{1, 1}, {}}).least, "a worker that starves has no share")
}

func TestArrivals(t *testing.T) {
	at := arrivalsOf(3)
	require.Equal(t, at, arrivalsOf(3), "all libraries see the same arrivals")
	require.NotEqual(t, at, arrivalsOf(4))
	for _, d := range at {
		require.True(t, d >= 0 && d < arrivals)
	}
}

// Every library must hand over to all waiters, or its numbers mean nothing.
func TestEveryLibraryHandsOver(t *testing.T) {
	s, err := redisproc.Start(t.Context())
	if errors.Is(err, redisproc.ErrMissing) {
		t.Skip(err)
	}
	require.NoError(t, err)
	defer s.Stop()
	for _, lib := range []library{concord, rueidisLib, bsmLibrary, redsyncLib} {
		ps, closeAll, err := lib.openAll(s, 4)
		require.NoError(t, err)
		defer closeAll()
		r, err := handOffRound(t.Context(), ps, "a", arrivalsOf(0))
		require.NoError(t, err, lib.name)
		require.Len(t, r.gaps, 3, lib.name)
		for _, gap := range r.gaps {
			require.Positive(t, gap, "%s: held before it was released", lib.name)
		}
	}
}
