package fleetbench

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/breaker"
)

// Both sides must count and open, or their numbers mean nothing.
func TestCallsFindAnOpenBreaker(t *testing.T) {
	o := options()
	b, err := breaker.New("billing", &o)
	require.NoError(t, err)
	op := calls(t.Context(), b)
	require.NoError(t, op(10))
	b.ForceOpen("test")
	require.Error(t, op(10), "refusals are not calls")
}
