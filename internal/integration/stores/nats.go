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

// natsStore is a NATS server or a cluster of them, with a bucket that is on all nodes.
type natsStore struct{ *natsserver.Cluster }

func newNATS(t *testing.T, nodes int) natsStore {
	t.Helper()
	s := natsStore{natsserver.Start(t, nodes)}
	_, err := stream(t, s.Dial(t)).CreateKeyValue(t.Context(), natslock.Config(Bucket, nodes))
	require.NoError(t, err)
	return s
}

func stream(t testing.TB, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	return js
}

// Connect implements Store.
func (s natsStore) Connect(t testing.TB, links faultproxy.Links) lock.Backend {
	t.Helper()
	if len(links) == 0 {
		return natslock.New(stream(t, s.Dial(t)), Bucket)
	}
	return natslock.New(stream(t, s.DialThrough(t, links, nil)), Bucket)
}

// Crash implements Durable.
func (s natsStore) Crash() { s.Restart(0) }

// Leader implements Cluster.
func (s natsStore) Leader(t testing.TB) int {
	t.Helper()
	return s.StreamLeader(t, "KV_"+Bucket)
}
