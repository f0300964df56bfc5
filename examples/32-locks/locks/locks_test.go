package locks_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/examples/32-locks/locks"
)

const transcript = `A lock with SET NX and DEL:
  A locks the account and reads 100
  A is paused for longer than the TTL: a collection, a slow disk, a laptop's lid
  B locks the account and reads 100
  A goes on, knows nothing, and deletes the lock: it was B's
  C locks the account and reads 100
  C adds 50, the balance is 150; B holds as well and may write at any moment
  A writes what it worked out before the pause: 90. C's 50 are lost

A lease with a token and a fence:
  A holds the account and reads 100; the lease renews itself
  A is cut off, B waits in line
  A's context has ended before B holds: true
  B's token is higher than A's: true
  B adds 50, the balance is 150
  A does not look at its context and writes all the same; refused: true
  A's release says that the lease was lost: true
  and B holds on: true
  the balance is 150
`

func TestTranscript(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, locks.Run(t.Context(), &out, locks.Options{}))
	require.Equal(t, transcript, out.String())
}

func TestUnknownEngine(t *testing.T) {
	err := locks.Run(t.Context(), new(bytes.Buffer), locks.Options{Engine: "paper"})
	require.ErrorContains(t, err, `engine "paper": want mem, redis, etcd or nats`)
}
