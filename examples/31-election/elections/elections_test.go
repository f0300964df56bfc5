package elections_test

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/examples/31-election/elections"
)

const transcript = `The highest ID leads:
  all hear each other; leaders: [3]
  3 reads that 100 invoices are billed, and is paused; the others take it for dead; leaders: [2 3]
  2 bills three and writes 103
  3 goes on where it was, knows nothing, and writes 101: 2's work is lost and will be done again
  3 is heard again and leads at once, whatever 2 is in the middle of; leaders: [3]
  3 is cut off from the others for as long as it may take; leaders: [2 3]

A leader with a term, and three that stand for election:
  A, B and C stand for election: A leads, the others wait in line
  the watch shows "A" at "A.example:8000"
  A bills an invoice and writes 101, with its term
  A reads the ledger; before it writes it is paused and cut off
  B leads when A's TTL is over; A's context had ended before: true
  because the leadership was lost: true
  B's term is higher: true
  A's work has not ended, which its trace reports
  the watch shows "B" at "B.example:8000"
  B bills an invoice and writes 102, with its term
  A goes on and writes all the same; refused: true
  102 invoices are billed
  A's link heals, and it stands for election again, behind C
  B has led enough, its function returns: Run resigns and stands for election again, behind A
  C leads at once, not when B's TTL would be over: true
  B's context had ended before: true; C's term is higher: true
  C bills an invoice and writes 103, with its term
  C is told to stop in the middle of an invoice, and its context ends
  its function goes on, so C still leads: true
  and Run has not returned: true
  C writes 104, which nobody refuses, and its function returns
  Run returns that its context has ended: true
  A leads once more; C's context had ended before: true; A's term is higher: true
  all leave; nobody leads: true
`

// In a bubble the time of a busy machine does not count, and nothing may be left running.
func TestTranscript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		require.NoError(t, elections.Run(t.Context(), &out, elections.Options{}))
		require.Equal(t, transcript, out.String())
	})
}

// Wherever it breaks off, the processes leave: a bubble does not end before its goroutines.
func TestBreakingOff(t *testing.T) {
	for _, after := range []time.Duration{0, 1, 10 * time.Millisecond, 200 * time.Millisecond, 350 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			defer cancel()
			err := elections.Run(ctx, new(bytes.Buffer), elections.Options{})
			require.ErrorIs(t, err, context.DeadlineExceeded, after)
		})
	}
}

func TestUnknownEngine(t *testing.T) {
	err := elections.Run(t.Context(), new(bytes.Buffer), elections.Options{Engine: "paper"})
	require.ErrorContains(t, err, `engine "paper": want mem, redis, etcd or nats`)
}
