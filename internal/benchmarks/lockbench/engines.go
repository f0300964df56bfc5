package lockbench

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"google.golang.org/grpc"

	"github.com/concordkit/concord/internal/benchmarks/embedded"
	"github.com/concordkit/concord/internal/benchmarks/ratio"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/etcdlock"
	"github.com/concordkit/concord/lock/natslock"
)

// onEtcd compares with etcd's own Mutex, whose processes have a session each before anything is measured.
func onEtcd(ctx context.Context) ([]ratio.Row, error) {
	s, err := embedded.StartEtcd()
	if err != nil {
		return nil, err
	}
	defer s.Stop()
	var lines [2][]process
	for i, open := range []func(*embedded.Etcd) (process, error){openEtcd, openMutex} {
		for range waiters + 1 {
			p, err := open(s)
			if err != nil {
				return nil, err
			}
			defer p.close()
			lines[i] = append(lines[i], p)
		}
	}
	var rows []ratio.Row
	for _, goal := range []struct {
		waiters int
		limit   float64
	}{{10, 0.7}, {waiters, 1}} {
		p50, _, err := handOffs(ctx, []string{"concord on etcd", "concurrency.Mutex"}, lines[:], goal.waiters)
		if err != nil {
			return nil, err
		}
		rows = append(rows, handOffRow("etcd: "+handOffGoal(goal.waiters), "concurrency.Mutex", p50[0], p50[1], goal.limit))
	}
	var requests calls
	cli, err := s.Client(requests.count)
	if err != nil {
		return nil, err
	}
	defer cli.Close()
	many, err := holdMany(ctx, "etcd", etcdlock.New(cli, nil), func() float64 { return float64(requests.Load()) })
	return append(rows, many...), err
}

func openEtcd(s *embedded.Etcd) (process, error) {
	cli, err := s.Client(nil)
	if err != nil {
		return process{}, err
	}
	return processOf(lock.New(etcdlock.New(cli, nil), &lock.Options{TTL: ttl}), func() { cli.Close() }), nil
}

func openMutex(s *embedded.Etcd) (process, error) {
	cli, err := s.Client(nil)
	if err != nil {
		return process{}, err
	}
	session, err := concurrency.NewSession(cli, concurrency.WithTTL(int(ttl.Seconds())))
	if err != nil {
		return process{}, err
	}
	return process{
		acquire: func(ctx context.Context, name string) (func() error, error) {
			m := concurrency.NewMutex(session, "mutex/"+name)
			if err := m.Lock(ctx); err != nil {
				return nil, err
			}
			return func() error { return m.Unlock(ctx) }, nil
		},
		close: func() { session.Close(); cli.Close() },
	}, nil
}

// calls counts unary calls and streams.
type calls struct{ atomic.Int64 }

func (n *calls) count(c *clientv3.Config) {
	c.DialOptions = append(c.DialOptions,
		grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			n.Add(1)
			return invoke(ctx, method, req, reply, cc, opts...)
		}),
		grpc.WithChainStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, stream grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			n.Add(1)
			return stream(ctx, desc, cc, method, opts...)
		}))
}

func onNATS(ctx context.Context) ([]ratio.Row, error) {
	s, err := embedded.StartNATS()
	if err != nil {
		return nil, err
	}
	defer s.Stop()
	ps := make([]process, 0, waiters+1)
	for range waiters + 1 {
		_, js, err := openNATS(ctx, s)
		if err != nil {
			return nil, err
		}
		p := processOf(lock.New(natslock.New(js, bucket), &lock.Options{TTL: ttl}), js.Conn().Close)
		defer p.close()
		ps = append(ps, p)
	}
	p50, _, err := handOffs(ctx, []string{"concord on NATS"}, [][]process{ps}, waiters)
	if err != nil {
		return nil, err
	}
	nc, js, err := openNATS(ctx, s)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	many, err := holdMany(ctx, "NATS", natslock.New(js, bucket), func() float64 { return float64(nc.Stats().OutMsgs) })
	row := ratio.Row{Goal: "NATS: " + handOffGoal(waiters), Ours: millis(ratio.Median(p50[0]))}
	return append([]ratio.Row{row}, many...), err
}

const bucket = "locks"

func openNATS(ctx context.Context, s *embedded.NATS) (*nats.Conn, jetstream.JetStream, error) {
	nc, err := s.Client()
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, nil, err
	}
	_, err = js.CreateOrUpdateKeyValue(ctx, natslock.Config(bucket, 1))
	return nc, js, err
}

// holdMany measures what many leases cost that are only held; requests counts what the client has sent.
func holdMany(ctx context.Context, engine string, b lock.Backend, requests func() float64) ([]ratio.Row, error) {
	locks := lock.New(b, &lock.Options{TTL: manyTTL})
	defer func() {
		ctx, stop := context.WithTimeout(context.Background(), closeTimeout)
		defer stop()
		locks.Close(ctx) // what it could not release goes with the server
	}()
	if _, err := locks.Acquire(ctx, "first"); err != nil { // whatever the first use starts
		return nil, err
	}
	before, heapBefore := runtime.NumGoroutine(), ratio.LiveHeap()
	if err := acquireMany(ctx, locks, manyLeases); err != nil {
		return nil, err
	}
	perLease := float64(ratio.LiveHeap()-heapBefore) / manyLeases
	more := max(0, runtime.NumGoroutine()-before) // some of what was measured before may end meanwhile
	sent := requests()
	if err := sleep(ctx, 2*manyTTL); err != nil {
		return nil, err
	}
	rate := (requests() - sent) / (2 * manyTTL.Seconds())
	note := fmt.Sprintf("TTL %v", manyTTL)
	if perLease > 0 { // else the server has let go of more
		note += fmt.Sprintf("; heap per lease %.0f bytes, the server's share in this process included", perLease)
	}
	return []ratio.Row{
		{Goal: fmt.Sprintf("%s: %d held leases: requests per second", engine, manyLeases), Ours: fmt.Sprintf("%.0f /s", rate), Note: note},
		{Goal: fmt.Sprintf("%s: goroutines of %d held leases", engine, manyLeases), Ours: fmt.Sprint(more),
			Value: float64(more), Target: ratio.AtMost(2, "")},
	}, nil
}
