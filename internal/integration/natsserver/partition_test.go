package natsserver

import (
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"
)

func TestIsolateLeader(t *testing.T) {
	t.Parallel()
	c := Start(t, 3)
	c.Bucket(t, bucket, nil)
	kvs := perNode(t, c)
	old := c.StreamLeader(t, stream)
	require.NoError(t, put(kvs[old], "a", "1"))

	c.Isolate(old)
	leader := c.StreamLeader(t, stream)
	require.NotEqual(t, old, leader)
	requirePut(t, kvs[leader], "a", "2")
	require.Error(t, put(kvs[old], "b", "1"), "a minority acknowledges nothing")
	stale, err := get(kvs[old], "a")
	require.NoError(t, err)
	require.Equal(t, "1", stale, "clients still reach the node, and nothing else does")

	c.Heal()
	requireCurrent(t, c, old)
	for _, kv := range kvs {
		requireGet(t, kv, "a", "2")
		requirePut(t, kv, "a", "2")
	}
}

func TestIsolateFollower(t *testing.T) {
	t.Parallel()
	c := Start(t, 3)
	c.Bucket(t, bucket, nil)
	kvs := perNode(t, c)
	leader := c.StreamLeader(t, stream)
	follower := (leader + 1) % 3
	require.NoError(t, put(kvs[leader], "a", "1"))
	c.Isolate(follower)
	require.NoError(t, put(kvs[leader], "a", "2"), "the majority goes on")
	require.Error(t, put(kvs[follower], "b", "1"), "a minority acknowledges nothing")
	require.Equal(t, leader, c.StreamLeader(t, stream))

	c.Restart(follower)
	require.NoError(t, put(kvs[leader], "a", "3"))
	for end := time.Now().Add(glance); time.Now().Before(end); time.Sleep(tick) {
		require.False(t, hears(t, c, leader, follower), "a node that restarts is as isolated as before")
		require.Less(t, last(c, follower), last(c, leader))
	}
	c.Heal()
	requireCurrent(t, c, follower)
	requirePut(t, kvs[follower], "a", "4")
	requireGet(t, kvs[leader], "a", "4")
}

func TestStopWhileIsolated(t *testing.T) {
	t.Parallel()
	c := Start(t, 3)
	c.Bucket(t, bucket, nil)
	kvs := perNode(t, c)
	old := c.StreamLeader(t, stream)
	c.Isolate(old)
	c.Stop(old)
	requirePut(t, kvs[c.StreamLeader(t, stream)], "a", "1")
	c.Heal()
	c.Restart(old)
	requireCurrent(t, c, old)
	requireGet(t, kvs[old], "a", "1")
}

// hears tells whether a node has a route from another as it runs now.
func hears(t *testing.T, c *Cluster, node, other int) bool {
	t.Helper()
	routes, err := c.nodes[node].server.Load().Routez(nil)
	require.NoError(t, err)
	id := c.nodes[other].server.Load().ID()
	return slices.ContainsFunc(routes.Routes, func(r *server.RouteInfo) bool { return r.RemoteID == id })
}
