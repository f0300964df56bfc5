package breakers_test

import (
	"bytes"
	"context"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/examples/51-breaker/breakers"
)

const transcript = `A counter of failures under a mutex:
  callers hang up on a slow server:               20 calls, 5 reach the server, 15 are refused
  their deadlines pass:                           20 calls, 5 reach the server, 15 are refused
  every second call fails:                        100 calls, 100 reach the server, 0 are refused
  a probe panicked, and the server is well since: 20 calls, 0 reach the server, 20 are refused

Ours:
  callers hang up on a slow server:               20 calls, 20 reach the server, 0 are refused
  their deadlines pass:                           20 calls, 5 reach the server, 15 are refused
  every second call fails:                        100 calls, 20 reach the server, 80 are refused
  a probe panicked, and the server is well since: 20 calls, 20 reach the server, 0 are refused

A server that flaps, behind ours:
  it is well:       20 calls, 20 reach the server, 0 are refused
  it fails:         20 calls, 5 reach the server, 15 are refused
    shop.example: closed -> open: consecutive failures
    come back in 100ms
  it still fails:   20 calls, 1 reach the server, 19 are refused
    shop.example: open -> half-open: open time over
    shop.example: half-open -> open: probe failed
    come back in 200ms
  it is well again: 20 calls, 20 reach the server, 0 are refused
    shop.example: open -> half-open: open time over
    shop.example: half-open -> closed: probes succeeded

When the probes of 1000 breakers come that opened together, each for about 1 s:
  after   counters    ours
  0.5 s               #
  0.6 s               #
  0.7 s               #
  0.8 s               #
  0.9 s               #
  1.0 s   #####       #
  1.1 s               #
  1.2 s               #
  1.3 s               #
  1.4 s               #
  a # is up to a fifth of them; less than a twentieth is not drawn
  more than a fifth of ours came within one step: false
`

func TestTranscript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		require.NoError(t, breakers.Run(t.Context(), &out, breakers.Options{}))
		require.Equal(t, transcript, out.String())
	})
}

// The counts differ from run to run, their sums do not.
func TestCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		require.NoError(t, breakers.Run(t.Context(), &out, breakers.Options{Counts: true}))
		var counters, ours int
		for _, row := range regexp.MustCompile(`(?m)^  [\d.]+ s +(\d+) +(\d+)$`).FindAllStringSubmatch(out.String(), -1) {
			counters += number(t, row[1])
			ours += number(t, row[2])
		}
		require.Equal(t, 1000, counters)
		require.Equal(t, 1000, ours)
	})
}

func number(t *testing.T, digits string) int {
	n, err := strconv.Atoi(digits)
	require.NoError(t, err)
	return n
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, breakers.Run(ctx, io.Discard, breakers.Options{}), context.Canceled)
}
