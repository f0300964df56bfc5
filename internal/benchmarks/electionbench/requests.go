package electionbench

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
)

const (
	// idleTTL is what users get, and idleWindow three renewals of each candidate.
	idleTTL    = 15 * time.Second
	idleWindow = 15 * time.Second
	waiting    = 10
)

// counted is a side whose requests are counted.
type counted struct {
	side
	sent func() (float64, error)
}

// requests counts what a leader and those who wait ask of a server while nothing happens, all sides at the same time.
func requests(ctx context.Context, s *servers) ([]ratio.Row, error) {
	k := new(kubernetes)
	of := func(n *atomic.Int64) func() (float64, error) {
		return func() (float64, error) { return float64(n.Load()), nil }
	}
	sides := []counted{
		{concord(s.onRedis()), func() (float64, error) {
			n, err := s.redis.Requests(ctx)
			return float64(n), err
		}},
		{concord(s.onEtcd()), of(&s.ours.Int64)},
		{s.stock(), of(&s.theirs.Int64)},
		{k.side(), of(&k.requests)},
	}
	if err := s.redis.ResetStats(ctx); err != nil {
		return nil, err
	}
	rates, err := idleRates(ctx, sides)
	if err != nil {
		return nil, err
	}
	goal := func(engine string) string {
		return fmt.Sprintf("%s: requests of a leader and %d waiting candidates, TTL %v", engine, waiting, idleTTL)
	}
	perSecond := func(i int) string { return fmt.Sprintf("%.1f /s", rates[i]) }
	return []ratio.Row{
		{Goal: goal("Redis"), Ours: perSecond(0), Peer: "client-go " + perSecond(3), Note: "each renews 3 times per TTL; the peer's candidates poll"},
		{Goal: goal("etcd"), Ours: perSecond(1), Peer: etcdElection + " " + perSecond(2), Note: "a renewal of ours is a keep-alive and a read that proves it"},
	}, nil
}

// idleRates returns the requests per second of each side.
func idleRates(ctx context.Context, sides []counted) ([]float64, error) {
	for _, s := range sides {
		p, err := s.party(ctx, "idle", waiting+1, idleTTL)
		if err != nil {
			return nil, err
		}
		defer p.close()
	}
	if err := sleep(ctx, time.Second); err != nil { // all are in line
		return nil, err
	}
	before, err := read(sides)
	if err != nil {
		return nil, err
	}
	if err := sleep(ctx, idleWindow); err != nil {
		return nil, err
	}
	rates, err := read(sides)
	for i := range rates {
		rates[i] = (rates[i] - before[i]) / idleWindow.Seconds()
	}
	return rates, err
}

func read(sides []counted) ([]float64, error) {
	sent := make([]float64, len(sides))
	for i, s := range sides {
		n, err := s.sent()
		if err != nil {
			return nil, err
		}
		sent[i] = n
	}
	return sent, nil
}
