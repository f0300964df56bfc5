package electionbench

import (
	"context"
	"fmt"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
)

const (
	candidates = 10
	rounds     = 21
	turns      = 10
	// pollerTurns are few, since client-go takes a fraction of a second for each.
	pollerTurns = 21
)

// resign compares the time from just before a leader resigns until another one's campaign has returned. The sides take
// turns, and a round of ours is compared with the round of the peer.
func resign(ctx context.Context, s *servers) ([]ratio.Row, error) {
	p50, err := resignations(ctx, concord(s.onEtcd()), s.stock(), concord(s.onRedis()))
	if err != nil {
		return nil, err
	}
	alone, err := resignations(ctx, concord(s.onNATS())) // the syncs of etcd would wait for what it writes
	if err != nil {
		return nil, err
	}
	polled, err := pollerResignations(ctx)
	if err != nil {
		return nil, err
	}
	ours, peer, redis, nats := p50[0], p50[1], p50[2], ratio.Median(alone[0])
	goal := func(engine string) string {
		return fmt.Sprintf("%s: resign to new leader p50, %d candidates", engine, candidates)
	}
	compared := func(engine string, ours []float64, limit float64) ratio.Row {
		ratios := make([]float64, rounds)
		for i := range ratios {
			ratios[i] = ours[i] / peer[i]
		}
		return ratio.Row{
			Goal: goal(engine), Ours: millis(ratio.Median(ours)), Peer: etcdElection + " " + millis(ratio.Median(peer)),
			Value: ratio.Median(ratios), Target: ratio.AtMost(limit, ratio.Times),
		}
	}
	onRedis := compared("Redis", redis, 0.25)
	onRedis.Note = "the peer is on etcd"
	onEtcd := compared("etcd", ours, 0.8)
	onEtcd.Note = "the peer reads once more after it has woken up"
	return []ratio.Row{
		onEtcd,
		onRedis,
		{Goal: goal("NATS"), Ours: millis(nats)},
		{
			Goal: goal("Redis"), Ours: millis(ratio.Median(redis)), Peer: "client-go " + millis(polled),
			Note: fmt.Sprintf("%.4f×; the peer has its defaults, tries every %v or later, and writes to memory", ratio.Median(redis)/polled, retryPeriod),
		},
	}, nil
}

// resignations returns the p50 of each round of each side. The order in which they take turns alternates.
func resignations(ctx context.Context, sides ...side) ([][]float64, error) {
	parties := make([]*party, len(sides))
	for i, s := range sides {
		p, err := s.party(ctx, "resign", candidates, ttl)
		if err != nil {
			return nil, err
		}
		defer p.close()
		parties[i] = p
	}
	p50 := make([][]float64, len(sides))
	for round := range rounds {
		for i := range parties {
			if round%2 == 1 {
				i = len(parties) - 1 - i
			}
			m, err := parties[i].median(turns)
			if err != nil {
				return nil, err
			}
			p50[i] = append(p50[i], m)
		}
	}
	return p50, nil
}

// pollerResignations returns the p50 of client-go.
func pollerResignations(ctx context.Context) (float64, error) {
	p, err := new(kubernetes).side().party(ctx, "resign", candidates, ttl)
	if err != nil {
		return 0, err
	}
	defer p.close()
	return p.median(pollerTurns)
}

// median returns the p50 of that many turns.
func (p *party) median(turns int) (float64, error) {
	gaps := make([]float64, turns)
	for i := range gaps {
		gap, err := p.turn()
		if err != nil {
			return 0, err
		}
		gaps[i] = float64(gap)
	}
	return ratio.Median(gaps), nil
}
