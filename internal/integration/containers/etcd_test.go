package containers

import (
	"context"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	"github.com/stretchr/testify/require"
	"github.com/testcontainers/testcontainers-go"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func put(t *testing.T, c *clientv3.Client, value string) error {
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	_, err := c.Put(ctx, "k", value)
	return err
}

func get(t *testing.T, c *clientv3.Client, opts ...clientv3.OpOption) (string, error) {
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	r, err := c.Get(ctx, "k", opts...)
	if err != nil || len(r.Kvs) == 0 {
		return "", err
	}
	return string(r.Kvs[0].Value), nil
}

func TestEtcd(t *testing.T) {
	e := StartEtcd(t)
	all := e.Dial(t)
	old := e.Leader(t)
	minority, majority := e.Dial(t, old), e.Dial(t, (old+1)%etcdSize, (old+2)%etcdSize)
	require.NoError(t, put(t, all, "before"))
	value, err := get(t, minority)
	require.NoError(t, err)
	require.Equal(t, "before", value)

	e.Isolate(t, old)
	cut := time.Now()
	require.NotEqual(t, old, e.Leader(t))
	require.Eventually(t, func() bool { return put(t, majority, "during") == nil }, patience, tick,
		"the majority must write again")
	t.Logf("the majority wrote %s after the cut", time.Since(cut).Round(time.Millisecond))
	require.Error(t, put(t, minority, "lost"), "a member without the others must not write")
	_, err = get(t, minority)
	require.Error(t, err, "nor read as if it knew the latest value")
	value, err = get(t, minority, clientv3.WithSerializable())
	require.NoError(t, err, "its clients must still reach it")
	require.Equal(t, "before", value)

	addr := e.Members[old].Addr()
	e.Heal(t)
	healed := time.Now()
	require.Eventually(t, func() bool {
		value, err := get(t, minority)
		return err == nil && value == "during"
	}, patience, tick, "the member must catch up after the cut, and the old client find it")
	t.Logf("the member caught up %s after the cut was healed", time.Since(healed).Round(time.Millisecond))
	published, err := e.Members[old].c.MappedPort(t.Context(), etcdPort)
	require.NoError(t, err)
	require.Equal(t, addr, "127.0.0.1:"+published.Port())
	e.Leader(t)
}

func TestEtcdFollower(t *testing.T) {
	e := StartEtcd(t)
	leader := e.Leader(t)
	follower := (leader + 1) % etcdSize
	all, cut := e.Dial(t, leader), e.Dial(t, follower)
	for range 2 {
		e.Isolate(t, follower)
		require.NoError(t, put(t, all, "x"), "the others need no election")
		require.Error(t, put(t, cut, "y"))
		e.Heal(t)
		require.Eventually(t, func() bool { return put(t, cut, "y") == nil }, patience, tick)
	}
}

func TestLeavesNothing(t *testing.T) {
	need(t, etcdImage)
	var e *Etcd
	t.Run("servers", func(t *testing.T) {
		e = StartEtcd(t)
		e.Isolate(t, 0)
		e.Members[1].Pause(t)
	})
	mustEngine(t, func(ctx context.Context, cli *testcontainers.DockerClient) error {
		for _, m := range e.Members {
			_, err := cli.ContainerInspect(ctx, m.c.GetContainerID(), client.ContainerInspectOptions{})
			require.True(t, errdefs.IsNotFound(err), "a container outlived its test: %v", err)
		}
		_, err := cli.NetworkInspect(ctx, e.peers.ID, client.NetworkInspectOptions{})
		require.True(t, errdefs.IsNotFound(err), "a network outlived its test: %v", err)
		return nil
	})
}
