package etcdserver

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"

	"github.com/concordkit/concord/internal/integration/faultproxy"
)

const (
	patience = 60 * time.Second
	tick     = 10 * time.Millisecond
	attempt  = time.Second            // for one call, before it is tried again
	glance   = 300 * time.Millisecond // for what must not happen
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func put(cli *clientv3.Client, key, value string) error {
	ctx, cancel := context.WithTimeout(context.Background(), attempt)
	defer cancel()
	_, err := cli.Put(ctx, key, value)
	return err
}

// get returns "" for a key that is not there.
func get(cli *clientv3.Client, key string, opts ...clientv3.OpOption) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), attempt)
	defer cancel()
	r, err := cli.Get(ctx, key, opts...)
	if err != nil || len(r.Kvs) == 0 {
		return "", err
	}
	return string(r.Kvs[0].Value), nil
}

func requirePut(t *testing.T, cli *clientv3.Client, key, value string) {
	t.Helper()
	require.Eventually(t, func() bool { return put(cli, key, value) == nil }, patience, tick)
}

func requireGet(t *testing.T, cli *clientv3.Client, key, want string, opts ...clientv3.OpOption) {
	t.Helper()
	require.Eventually(t, func() bool {
		got, err := get(cli, key, opts...)
		return err == nil && got == want
	}, patience, tick)
}

// perMember returns a client for each member that knows only that one.
func perMember(t *testing.T, c *Cluster) []*clientv3.Client {
	t.Helper()
	clients := make([]*clientv3.Client, len(c.members))
	for i, link := range c.Links(t) {
		clients[i] = c.DialThrough(t, []*faultproxy.Proxy{link}, nil)
	}
	return clients
}

func TestStart(t *testing.T) {
	for _, members := range []int{1, 3} {
		t.Run(fmt.Sprint(members), func(t *testing.T) {
			t.Parallel()
			c := Start(t, members)
			require.NoError(t, put(c.Dial(t), "a", t.Name()))
			for _, cli := range perMember(t, c) {
				got, err := get(cli, "a")
				require.NoError(t, err)
				require.Equal(t, t.Name(), got, "every cluster has data of its own")
			}
			require.Contains(t, []int{0, 1, 2}[:members], c.Leader(t))
		})
	}
}

func TestFsync(t *testing.T) {
	require.True(t, newMember(t, 0, nil).config().UnsafeNoFsync)
	c := Start(t, 1, Fsync)
	require.False(t, c.members[0].etcd.Load().Config().UnsafeNoFsync)
	require.NoError(t, put(c.Dial(t), "a", "1"))
}

func TestRestart(t *testing.T) {
	for _, members := range []int{1, 3} {
		t.Run(fmt.Sprint(members), func(t *testing.T) {
			t.Parallel()
			c := Start(t, members)
			direct, through := c.Dial(t), c.DialThrough(t, c.Links(t), nil)
			require.NoError(t, put(direct, "a", "1"))
			all := []int{0, 1, 2}[:members]
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
	c := Start(t, 3)
	cli, clients := c.Dial(t), perMember(t, c)
	require.NoError(t, put(cli, "a", "1"))
	old := c.Leader(t)
	c.Stop(old)
	require.NotEqual(t, old, c.Leader(t))
	requirePut(t, cli, "a", "2")
	c.Restart(old)
	requireGet(t, clients[old], "a", "2", clientv3.WithSerializable())
}

func TestCompact(t *testing.T) {
	c := Start(t, 3)
	cli := c.Dial(t)
	require.NoError(t, put(cli, "a", "1"))
	require.NoError(t, put(cli, "a", "2"))
	c.Compact(t)
	c.Compact(t)
	for w := range cli.Watch(t.Context(), "a", clientv3.WithRev(1)) {
		require.Positive(t, w.CompactRevision)
		require.Error(t, w.Err())
	}
	requireGet(t, cli, "a", "2")
}
