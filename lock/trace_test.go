package lock

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNoTraceCostsNothing(t *testing.T) {
	ctx := t.Context()
	for name, trace := range map[string]*Trace{"nil": nil, "without hooks": {}} {
		allocs := testing.AllocsPerRun(100, func() {
			_, done := trace.acquire(ctx, Claim{})
			trace.queued(ctx, Claim{})
			trace.hold(ctx, Claim{})(nil)
			done(nil)
		})
		require.Zero(t, allocs, name)
	}
}
