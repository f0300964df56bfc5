package retries_test

import (
	"context"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/examples/52-retry/retries"
)

func run(t *testing.T) (out string) {
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		require.NoError(t, retries.Run(t.Context(), &b))
		out = b.String()
	})
	return out
}

// sums returns the numbers of a line: without jitter, with jitter, with a budget.
func sums(t *testing.T, out, line string) (n [3]int) {
	row := regexp.MustCompile(`(?m)^  ` + line + ` +(\d+) +(\d+) +(\d+)$`).FindStringSubmatch(out)
	require.Len(t, row, 4, line)
	for i, digits := range row[1:] {
		var err error
		n[i], err = strconv.Atoi(digits)
		require.NoError(t, err)
	}
	return n
}

// Chance has a part in what jitter does, by less than these bounds.
func TestSums(t *testing.T) {
	out := run(t)
	all, after, most := sums(t, out, "retries in all"), sums(t, out, "after the outage"), sums(t, out, "most in 100 ms of that")
	gaveUp, refused := sums(t, out, "clients that gave up"), sums(t, out, "others refused")
	require.Equal(t, 1000+1000+800+600, all[0])
	require.Equal(t, 1000+800+600, after[0])
	require.Equal(t, 1000, most[0])
	require.Equal(t, 400, gaveUp[0])
	require.Equal(t, 300, refused[0])

	require.Less(t, most[1], 400, "jitter must spread retries")
	require.Less(t, gaveUp[1], 200, "fewer than half of those without")
	require.Positive(t, refused[1], "jitter alone bounds nothing")

	const granted = 10 * (20 + 20*3) // of ten processes, in three seconds
	require.Less(t, all[2], granted)
	require.Positive(t, after[2])
	require.Less(t, most[2], 150)
	require.Less(t, gaveUp[2], 1000)
	require.Zero(t, refused[2], "others must not notice")
}

// What has no jitter is the same each time.
func TestHistogram(t *testing.T) {
	out := run(t)
	for _, line := range []string{
		`  0\.4 s +#{20} .*`, `  1\.2 s +#{20}( .*)?`, `  2\.0 s +#{16}( .*)?`, `  2\.8 s +#{12}( .*)?`, `  0\.1 s {29,}#.*`,
	} {
		require.Regexp(t, `(?m)^`+line+`$`, out)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, retries.Run(ctx, io.Discard), context.Canceled)
}
