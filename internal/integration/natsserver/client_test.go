package natsserver

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/integration/faultproxy"
)

func TestBlackhole(t *testing.T) {
	c := Start(t, 1)
	b := c.Bucket(t, bucket, nil)
	links := c.Links(t)
	a := open(t, c.DialThrough(t, links, nil))
	require.NoError(t, put(a, "a", "1"))
	links.Set(faultproxy.Faults{BlackholeDown: true})
	require.ErrorIs(t, put(a, "a", "2"), context.DeadlineExceeded)
	got, err := get(b, "a")
	require.NoError(t, err, "every process has links of its own")
	require.Equal(t, "2", got, "only the reply was lost")
	links.Heal()
	requireGet(t, a, "a", "2")
}

func TestResetAll(t *testing.T) {
	c := Start(t, 3)
	links := c.Links(t)
	lost, found := make(chan error, 1), make(chan string, 1)
	nc := c.DialThrough(t, links, func(o *nats.Options) {
		o.DisconnectedErrCB = func(_ *nats.Conn, err error) { offer(lost, err) }
		o.ReconnectedCB = func(nc *nats.Conn) { offer(found, nc.ConnectedAddr()) }
	})
	links.ResetAll()
	require.Error(t, within(t, lost))
	require.Contains(t, links.Addrs(), within(t, found), "a client stays on its links")
	require.Len(t, nc.Servers(), 3)
	require.Empty(t, nc.DiscoveredServers())
}

// offer does not wait for those who have heard enough.
func offer[T any](c chan<- T, v T) {
	select {
	case c <- v:
	default:
	}
}

func within[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		require.Fail(t, "nothing happens")
	}
	return v
}
