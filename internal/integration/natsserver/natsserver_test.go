package natsserver

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/concordkit/concord/internal/integration/faultproxy"
)

const (
	patience = 60 * time.Second
	tick     = 10 * time.Millisecond
	attempt  = time.Second            // for one call, before it is tried again
	glance   = 300 * time.Millisecond // for what must not happen
	bucket   = "test"
	stream   = "KV_" + bucket
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open returns the bucket as the client sees it, without asking for it.
func open(t *testing.T, nc *nats.Conn) jetstream.KeyValue {
	t.Helper()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	var kv jetstream.KeyValue
	require.Eventually(t, func() bool {
		kv, err = js.KeyValue(t.Context(), bucket)
		return err == nil
	}, patience, tick)
	return kv
}

func put(kv jetstream.KeyValue, key, value string) error {
	ctx, cancel := context.WithTimeout(context.Background(), attempt)
	defer cancel()
	_, err := kv.PutString(ctx, key, value)
	return err
}

func get(kv jetstream.KeyValue, key string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), attempt)
	defer cancel()
	e, err := kv.Get(ctx, key)
	if err != nil {
		return "", err
	}
	return string(e.Value()), nil
}

func requirePut(t *testing.T, kv jetstream.KeyValue, key, value string) {
	t.Helper()
	require.Eventually(t, func() bool { return put(kv, key, value) == nil }, patience, tick)
}

func requireGet(t *testing.T, kv jetstream.KeyValue, key, want string) {
	t.Helper()
	require.Eventually(t, func() bool {
		got, err := get(kv, key)
		return err == nil && got == want
	}, patience, tick)
}

// perNode returns the bucket for a client of each node that knows only that one.
func perNode(t *testing.T, c *Cluster) []jetstream.KeyValue {
	t.Helper()
	kvs := make([]jetstream.KeyValue, len(c.nodes))
	for i, link := range c.Links(t) {
		kvs[i] = open(t, c.DialThrough(t, faultproxy.Links{link}, nil))
	}
	return kvs
}

func TestStart(t *testing.T) {
	for _, nodes := range []int{1, 3} {
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			t.Parallel()
			c := Start(t, nodes)
			kv := c.Bucket(t, bucket, func(cfg *jetstream.KeyValueConfig) { cfg.History = 2 })
			require.NoError(t, put(kv, "a", t.Name()))
			status, err := kv.Status(t.Context())
			require.NoError(t, err)
			require.EqualValues(t, 2, status.History())
			require.Equal(t, nodes, status.Config().Replicas)
			for _, kv := range perNode(t, c) {
				requireGet(t, kv, "a", t.Name())
			}
			require.Contains(t, []int{0, 1, 2}[:nodes], c.StreamLeader(t, stream))
		})
	}
}

func TestSyncAlways(t *testing.T) {
	c := Start(t, 1)
	require.False(t, c.nodes[0].options().SyncAlways)
	c = Start(t, 1, SyncAlways)
	require.True(t, c.nodes[0].options().SyncAlways)
	require.NoError(t, put(c.Bucket(t, bucket, nil), "a", "1"))
}

func TestRestart(t *testing.T) {
	for _, nodes := range []int{1, 3} {
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			t.Parallel()
			c := Start(t, nodes)
			direct := c.Bucket(t, bucket, nil)
			through := open(t, c.DialThrough(t, c.Links(t), nil))
			require.NoError(t, put(direct, "a", "1"))
			all := []int{0, 1, 2}[:nodes]
			c.Stop(all...)
			c.Stop(all...)
			_, err := get(direct, "a")
			require.Error(t, err)
			_, err = get(through, "a")
			require.Error(t, err)
			c.Restart(all...)
			requireGet(t, direct, "a", "1")
			requireGet(t, through, "a", "1")
			c.Restart(all...)
			requireGet(t, direct, "a", "1")
		})
	}
}

func TestCrashOfLeader(t *testing.T) {
	t.Parallel()
	c := Start(t, 3)
	kv := c.Bucket(t, bucket, nil)
	kvs := perNode(t, c)
	require.NoError(t, put(kv, "a", "1"))
	old := c.StreamLeader(t, stream)
	c.Stop(old)
	require.NotEqual(t, old, c.StreamLeader(t, stream))
	requirePut(t, kv, "a", "2")
	c.Restart(old)
	requireGet(t, kvs[old], "a", "2")
	requireCurrent(t, c, old)
}

// requireCurrent waits until a node has all that the leader of the stream has.
func requireCurrent(t *testing.T, c *Cluster, node int) {
	t.Helper()
	leader := c.StreamLeader(t, stream)
	require.Eventually(t, func() bool {
		n := last(c, leader)
		return n > 0 && last(c, node) == n
	}, patience, tick)
}

// last returns the sequence number of the last message that a node itself has of the stream.
func last(c *Cluster, node int) uint64 {
	jsz, err := c.nodes[node].server.Load().Jsz(&server.JSzOptions{Accounts: true, Streams: true})
	if err != nil {
		return 0
	}
	for _, account := range jsz.AccountDetails {
		for _, s := range account.Streams {
			if s.Name == stream {
				return s.State.LastSeq
			}
		}
	}
	return 0
}
