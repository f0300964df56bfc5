package etcdserver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func TestIsolateLeader(t *testing.T) {
	c := Start(t, 3)
	clients := perMember(t, c)
	old := c.Leader(t)
	require.NoError(t, put(clients[old], "a", "1"))

	c.Isolate(old)
	leader := c.Leader(t)
	require.NotEqual(t, old, leader)
	requirePut(t, clients[leader], "a", "2")
	require.Error(t, put(clients[old], "b", "1"), "a minority acknowledges nothing")
	_, err := get(clients[old], "a")
	require.Error(t, err)
	stale, err := get(clients[old], "a", clientv3.WithSerializable())
	require.NoError(t, err)
	require.Equal(t, "1", stale, "clients still reach the member, and nothing else does")

	c.Heal()
	for _, cli := range clients {
		requireGet(t, cli, "a", "2", clientv3.WithSerializable())
		requirePut(t, cli, "a", "2")
	}
}

func TestIsolateFollower(t *testing.T) {
	c := Start(t, 3)
	clients := perMember(t, c)
	leader := c.Leader(t)
	follower := (leader + 1) % 3
	require.NoError(t, put(clients[leader], "a", "1"))
	requireGet(t, clients[follower], "a", "1", clientv3.WithSerializable())
	c.Isolate(follower)
	require.NoError(t, put(clients[leader], "a", "2"), "the majority goes on")
	require.Equal(t, leader, c.Leader(t))
	for end := time.Now().Add(glance); time.Now().Before(end); time.Sleep(tick) {
		stale, err := get(clients[follower], "a", clientv3.WithSerializable())
		require.NoError(t, err)
		require.Equal(t, "1", stale)
	}
	require.Error(t, put(clients[follower], "b", "1"), "a minority acknowledges nothing")
	c.Heal()
	requireGet(t, clients[follower], "a", "2", clientv3.WithSerializable())
}

// Without a majority nobody acknowledges.
func TestIsolateTwo(t *testing.T) {
	c := Start(t, 3)
	clients := perMember(t, c)
	c.Isolate(0)
	c.Isolate(1)
	for _, cli := range clients {
		require.Error(t, put(cli, "a", "1"))
	}
	c.Heal()
	for _, cli := range clients {
		requirePut(t, cli, "a", "2")
	}
}

func TestStopWhileIsolated(t *testing.T) {
	c := Start(t, 3)
	clients := perMember(t, c)
	old := c.Leader(t)
	c.Isolate(old)
	c.Stop(old)
	requirePut(t, clients[c.Leader(t)], "a", "1")
	c.Heal()
	c.Restart(old)
	requireGet(t, clients[old], "a", "1", clientv3.WithSerializable())
}
