package etcdserver

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/concordkit/concord/internal/integration/faultproxy"
)

func TestBlackhole(t *testing.T) {
	c := Start(t, 1)
	broken, whole := c.Links(t), c.Links(t)
	a, b := c.DialThrough(t, broken, nil), c.DialThrough(t, whole, nil)
	require.NoError(t, put(a, "a", "1"))
	broken.Set(faultproxy.Faults{BlackholeDown: true})
	require.ErrorIs(t, put(a, "a", "2"), context.DeadlineExceeded)
	got, err := get(b, "a")
	require.NoError(t, err, "every process has links of its own")
	require.Equal(t, "2", got, "only the reply was lost")
	broken.Heal()
	requireGet(t, a, "a", "2")
}

func TestResetAll(t *testing.T) {
	c := Start(t, 3)
	links := c.Links(t)
	cli, direct := c.DialThrough(t, links, nil), c.Dial(t)
	require.NoError(t, put(cli, "a", "1"))
	links.Set(faultproxy.Faults{BlackholeDown: true})
	done := make(chan error, 1)
	go func() {
		_, err := cli.Put(t.Context(), "a", "2")
		done <- err
	}()
	requireGet(t, direct, "a", "2")
	links.ResetAll()
	require.Equal(t, codes.Unavailable, status.Code(<-done))
	links.Heal()
	requireGet(t, cli, "a", "2")
}

func TestDialThrough(t *testing.T) {
	c := Start(t, 1)
	links := c.Links(t)
	cli := c.DialThrough(t, links, func(cfg *clientv3.Config) { cfg.MaxCallSendMsgSize = 10 })
	require.Equal(t, links.Addrs(), cli.Endpoints())
	require.Equal(t, codes.ResourceExhausted, status.Code(put(cli, "a", "longer than that")))
}
