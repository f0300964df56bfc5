package fleetbench

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/sony/gobreaker/v2"

	"github.com/concordkit/concord/breaker"
	"github.com/concordkit/concord/internal/benchmarks/ratio"
)

const (
	window   = 10 * time.Second
	minCalls = 20
	half     = 0.5
	openFor  = time.Hour
)

// options are the rules of ours, the same as in the rows without a fleet.
func options() breaker.Options {
	return breaker.Options{Rules: breaker.Rules{Window: window, FailureRate: half, MinCalls: minCalls}, OpenFor: openFor, Jitter: -1}
}

// closed compares the calls of a member with those of a breaker that is none, and of a breaker in a store.
func closed(ctx context.Context, s *servers) ([]ratio.Row, error) {
	p, err := s.onRedis().join(ctx, 1, options())
	if err != nil {
		return nil, err
	}
	defer p.close()
	o := options()
	alone, err := breaker.New("billing", &o)
	if err != nil {
		return nil, err
	}
	ours := calls(ctx, p.ns[0].b)
	local, err := ratio.Compare(ours, calls(ctx, alone), &ratio.Options{Slice: 20 * time.Millisecond, Pairs: 41})
	if err != nil {
		return nil, err
	}
	d := &distributed{rdb: s.redis.Client()}
	defer d.rdb.Close()
	peer, err := d.calls()
	if err != nil {
		return nil, err
	}
	shared, err := ratio.Compare(ours, peer, nil)
	if err != nil {
		return nil, err
	}
	const goal, peerName = "member of a fleet on Redis, Do, succeeding", "gobreaker distributed, its store on Redis "
	return []ratio.Row{
		{
			Goal: goal, Ours: nanos(local.CPU.Ours()), Peer: "Do without a fleet " + nanos(local.CPU.Peer()),
			Value: local.CPU.Ratio(), Target: ratio.AtMost(1.1, ratio.Times),
		},
		{
			Goal: goal, Ours: nanos(shared.CPU.Ours()), Peer: peerName + nanos(shared.CPU.Peer()),
			Value: shared.CPU.Ratio(), Target: ratio.AtMost(0.001, ratio.Times),
			Note: fmt.Sprintf("the server's CPU not counted; wall %s to %s, %.3g×", nanos(shared.Wall.Ours()), nanos(shared.Wall.Peer()),
				shared.Wall.Ratio()),
		},
	}, nil
}

func calls(ctx context.Context, b *breaker.Breaker) ratio.Op {
	ran := 0
	f := func(context.Context) error { ran++; return nil }
	return func(n int) error {
		before := ran
		for range n {
			_ = b.Do(ctx, f)
		}
		if ran-before != n {
			return fmt.Errorf("%d of %d calls were let through", ran-before, n)
		}
		return nil
	}
}

// distributed keeps gobreaker's state, by as few requests as its interface allows.
type distributed struct {
	rdb      *redis.Client
	requests int
}

// lease is how long a process that has crashed keeps the others out.
const lease = 5 * time.Second

// Lock implements gobreaker.SharedDataStore.
func (d *distributed) Lock(name string) error {
	d.requests++
	return d.rdb.SetArgs(context.Background(), name, 1, redis.SetArgs{Mode: "NX", TTL: lease}).Err()
}

// Unlock implements gobreaker.SharedDataStore.
func (d *distributed) Unlock(name string) error {
	d.requests++
	return d.rdb.Del(context.Background(), name).Err()
}

// GetData implements gobreaker.SharedDataStore.
func (d *distributed) GetData(name string) ([]byte, error) {
	d.requests++
	return d.rdb.Get(context.Background(), name).Bytes()
}

// SetData implements gobreaker.SharedDataStore.
func (d *distributed) SetData(name string, data []byte) error {
	d.requests++
	return d.rdb.Set(context.Background(), name, data, 0).Err()
}

func (d *distributed) calls() (ratio.Op, error) {
	const steps = 8 // as many as ours has
	b, err := gobreaker.NewDistributedCircuitBreaker[int](d, gobreaker.Settings{
		Name: "billing", Interval: window, BucketPeriod: window / steps, Timeout: openFor,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return c.Requests >= minCalls && float64(c.TotalFailures) >= half*float64(c.Requests)
		},
	})
	if err != nil {
		return nil, err
	}
	ran := 0
	f := func() (int, error) { ran++; return ran, nil }
	return func(n int) error {
		for range n {
			if _, err := b.Execute(f); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// requests counts what calls ask of the server.
func requests(ctx context.Context, s *servers) ([]ratio.Row, error) {
	const n, tries = 100_000, 5
	p, err := s.onRedis().join(ctx, 1, options())
	if err != nil {
		return nil, err
	}
	defer p.close()
	call := calls(ctx, p.ns[0].b)
	if err := s.redis.ResetStats(ctx); err != nil {
		return nil, err
	}
	// A connection that listens asks now and then whether it still does.
	least, before := int64(n), int64(0)
	for range tries {
		if err := call(n); err != nil {
			return nil, err
		}
		now, err := s.redis.Requests(ctx)
		if err != nil {
			return nil, err
		}
		least, before = min(least, now-before), now
	}
	d := &distributed{rdb: s.redis.Client()}
	defer d.rdb.Close()
	peer, err := d.calls()
	if err != nil {
		return nil, err
	}
	d.requests = 0
	if err := peer(1); err != nil {
		return nil, err
	}
	return []ratio.Row{{
		Goal: fmt.Sprintf("member of a fleet on Redis, requests of %d closed calls", n),
		Ours: fmt.Sprint(least), Peer: fmt.Sprintf("gobreaker distributed, %d of each call", d.requests),
		Value: float64(least), Target: ratio.AtMost(0, ""),
	}}, nil
}
