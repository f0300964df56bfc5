package fleet_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"github.com/concordkit/concord/breaker"
	"github.com/concordkit/concord/breaker/fleet"
	"github.com/concordkit/concord/internal/integration/stores"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/etcdlock"
	"github.com/concordkit/concord/lock/natslock"
)

// meter counts what a client writes to its connections.
type meter struct{ writes atomic.Int64 }

type meteredConn struct {
	net.Conn
	m *meter
}

func (c meteredConn) Write(b []byte) (int, error) {
	c.m.writes.Add(1)
	return c.Conn.Write(b)
}

// DialContext makes connections that are counted.
func (m *meter) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return meteredConn{c, m}, nil
}

// Dial is what clients of NATS use.
func (m *meter) Dial(network, addr string) (net.Conn, error) {
	return m.DialContext(context.Background(), network, addr)
}

func TestCallsSendNothing(t *testing.T) {
	t.Parallel()
	for name, connect := range map[string]func(*testing.T, *meter) lock.Backend{
		"redis": func(t *testing.T, m *meter) lock.Backend {
			return stores.AnyRedis(t).With(func(o *redis.Options) { o.Dialer = m.DialContext }).Connect(t, nil)
		},
		"etcd": func(t *testing.T, m *meter) lock.Backend {
			s := stores.NewEtcd(t, 1)
			dialer := grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
				return m.DialContext(ctx, "tcp", addr)
			})
			return etcdlock.New(s.DialThrough(t, s.Links(t), func(c *clientv3.Config) { c.DialOptions = append(c.DialOptions, dialer) }), nil)
		},
		"nats": func(t *testing.T, m *meter) lock.Backend {
			s := stores.NewNATS(t, 1)
			nc := s.DialThrough(t, s.Links(t), func(o *nats.Options) { o.CustomDialer = m })
			return natslock.New(stores.Stream(t, nc), stores.Bucket)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const calls, tries = 100_000, 5
			var m meter
			locks := lock.New(connect(t, &m), &lock.Options{TTL: time.Minute}) // the first renewal is far away
			b, err := breaker.New("billing", nil)
			require.NoError(t, err)
			member, err := fleet.Join(t.Context(), locks, b, nil)
			require.NoError(t, err)
			t.Cleanup(func() {
				require.NoError(t, member.Leave(context.Background()))
				require.NoError(t, locks.Close(context.Background()))
			})
			for member.Snapshot().Nodes == 0 {
				time.Sleep(time.Millisecond)
			}
			require.Positive(t, m.writes.Load(), "or the meter counts nothing")
			// Clients write now and then of their own accord, to see whether the server is there.
			least := int64(calls)
			for range tries {
				before := m.writes.Load()
				for range calls {
					require.NoError(t, b.Do(t.Context(), func(context.Context) error { return nil }))
				}
				least = min(least, m.writes.Load()-before)
			}
			require.Zero(t, least, "%d calls through a closed breaker send nothing", calls)
		})
	}
}
