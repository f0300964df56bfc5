package stores

import (
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// Trials is how often a test with random phases runs: CONCORD_TRIALS, or a number for CI.
func Trials(t testing.TB) int {
	t.Helper()
	v := os.Getenv("CONCORD_TRIALS")
	if v == "" {
		return 30
	}
	n, err := strconv.Atoi(v)
	require.NoError(t, err, "CONCORD_TRIALS")
	return n
}
