package stores

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/internal/integration/natsserver"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/natslock"
)

// Bucket is where NATS keeps the leases.
const Bucket = "locks"

// NATS is a NATS server or a cluster of them, with a bucket that is on all of them.
type NATS struct{ *natsserver.Cluster }

// NewNATS starts them until t ends.
func NewNATS(t *testing.T, nodes int) NATS {
	t.Helper()
	s := NATS{natsserver.Start(t, nodes)}
	_, err := Stream(t, s.Dial(t)).CreateKeyValue(t.Context(), natslock.Config(Bucket, nodes))
	require.NoError(t, err)
	return s
}

// Stream returns the JetStream of a connection.
func Stream(t testing.TB, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	return js
}

// Connect implements Store.
func (s NATS) Connect(t testing.TB, links faultproxy.Links) lock.Backend {
	t.Helper()
	if len(links) == 0 {
		return natslock.New(Stream(t, s.Dial(t)), Bucket)
	}
	return natslock.New(Stream(t, s.DialThrough(t, links, nil)), Bucket)
}

// Crash implements Durable.
func (s NATS) Crash() { s.Restart(0) }

// Leader implements Cluster.
func (s NATS) Leader(t testing.TB) int {
	t.Helper()
	return s.StreamLeader(t, "KV_"+Bucket)
}
