package natsserver

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

// maxReplicas is what users give a bucket that must survive the loss of a node.
const maxReplicas = 3

// Bucket creates a bucket in files with a replica on every node, up to three, but for what mod, which may be nil,
// changes. The result belongs to a client like that of [Cluster.Dial].
func (c *Cluster) Bucket(t testing.TB, name string, mod func(*jetstream.KeyValueConfig)) jetstream.KeyValue {
	t.Helper()
	cfg := jetstream.KeyValueConfig{
		Bucket: name, Storage: jetstream.FileStorage, Replicas: min(len(c.nodes), maxReplicas),
	}
	if mod != nil {
		mod(&cfg)
	}
	ctx, cancel := context.WithTimeout(t.Context(), settleTime)
	defer cancel()
	js, err := jetstream.New(c.Dial(t))
	if err != nil {
		t.Fatalf("natsserver: %v", err)
	}
	kv, err := js.CreateKeyValue(ctx, cfg)
	if err != nil {
		t.Fatalf("natsserver: bucket %s: %v", name, err)
	}
	return kv
}
