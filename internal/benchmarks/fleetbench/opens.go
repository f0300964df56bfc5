package fleetbench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/concordkit/concord/breaker"
	"github.com/concordkit/concord/internal/benchmarks/ratio"
)

const (
	nodes  = 20
	rounds = 21
	streak = 3
	// quiet is how long a closed fleet is left alone before the next round: within a second each member writes down that the
	// last opening has ended.
	quiet = 1100 * time.Millisecond
	// periods is how many probes have to fail.
	periods = 30
	// short is the open time of a fleet that probes.
	short = 100 * time.Millisecond
)

// opens measures how soon the last node is open.
func opens(ctx context.Context, s *servers) ([]ratio.Row, error) {
	var rows []ratio.Row
	for _, on := range []struct {
		engine
		limit float64 // ms
	}{{s.onRedis(), 10}, {s.onEtcd(), 20}, {s.onNATS(), 20}} {
		last, first, acquires, err := on.openings(ctx)
		if err != nil {
			return nil, fmt.Errorf("opening on %s: %w", on.name, err)
		}
		rows = append(rows, ratio.Row{
			Goal: fmt.Sprintf("%s: the vote that decides to the last of %d nodes open", on.name, nodes),
			Ours: millis(ratio.Median(last)), Value: ratio.Median(last) / 1e6, Target: ratio.AtMost(on.limit, "ms"),
			Note: fmt.Sprintf("median of %d, %s to %s; the first that has no vote is open after %s; a free lock is acquired in %s", rounds,
				millis(slices.Min(last)), millis(slices.Max(last)), millis(ratio.Median(first)), millis(ratio.Median(acquires))),
		})
	}
	return rows, nil
}

// openings returns, in nanoseconds, the times from just before the call whose failure makes the second voter until the last
// node is open, and until the first one is that does not vote. Between the rounds it acquires a free lock: the vote is a
// request like that, and the opening another one, and after each come all who watch.
func (e engine) openings(ctx context.Context) (last, first, acquires []float64, err error) {
	p, err := e.join(ctx, nodes, breaker.Options{
		Rules: breaker.Rules{Consecutive: streak, FailureRate: -1}, OpenFor: openFor, MaxOpenFor: openFor, Jitter: -1,
	})
	if err != nil {
		return nil, nil, nil, err
	}
	defer p.close()
	for round := range rounds {
		begun := time.Now()
		lease, err := p.ns[round%nodes].locks.TryAcquire(ctx, "free")
		if err != nil {
			return nil, nil, nil, err
		}
		acquires = append(acquires, float64(time.Since(begun)))
		if err := errors.Join(lease.Release(), sleep(ctx, quiet)); err != nil {
			return nil, nil, nil, err
		}
		after, err := p.opening(ctx, round)
		if err != nil {
			return nil, nil, nil, err
		}
		slices.Sort(after)
		first, last = append(first, after[2]), append(last, after[nodes-1])
	}
	return last, first, acquires, nil
}

// opening returns how long after the deciding vote each node was open, the first voter long before.
func (p *party) opening(ctx context.Context, round int) ([]float64, error) {
	voter, decider := p.ns[round%nodes], p.ns[(round+nodes/2)%nodes]
	at := p.follow(ctx)
	voter.fail(ctx, streak)
	if err := p.until(ctx, "see the first vote", func(n *node) bool { return n.m.Snapshot().Votes == 1 }); err != nil {
		return nil, err
	}
	decider.fail(ctx, streak-1)
	begun := time.Now()
	decider.fail(ctx, 1)
	var after []float64
	for range p.ns {
		select {
		case t := <-at:
			after = append(after, float64(t.Sub(begun)))
		case <-time.After(patience):
			return nil, fmt.Errorf("%d of %d nodes opened within %v", len(after), nodes, patience)
		}
	}
	if err := p.until(ctx, "follow", func(n *node) bool { return n.m.Snapshot().Open }); err != nil {
		return nil, err
	}
	if err := voter.m.Restore(ctx); err != nil {
		return nil, err
	}
	return after, p.until(ctx, "close", func(n *node) bool {
		s := n.m.Snapshot()
		return !s.Open && s.Votes == 0 && n.b.State() == breaker.Closed
	})
}

// follow tells when each node opens for the first time from now on.
func (p *party) follow(ctx context.Context) <-chan time.Time {
	at := make(chan time.Time, len(p.ns))
	for _, n := range p.ns {
		changes := n.b.Transitions(ctx)
		go func() {
			for t, err := range changes.All(ctx) {
				if err != nil {
					return
				}
				if t.From == breaker.Closed && t.To == breaker.Open {
					at <- t.At
					return
				}
			}
		}()
	}
	return at
}

func (n *node) fail(ctx context.Context, times int) {
	for range times {
		_ = n.b.Do(ctx, func(context.Context) error { return errDown })
	}
}

// probes counts the calls that are let through while a service fails.
func probes(ctx context.Context, s *servers) ([]ratio.Row, error) {
	p, err := s.onRedis().join(ctx, nodes, breaker.Options{
		Rules: breaker.Rules{Consecutive: streak, FailureRate: -1}, OpenFor: short, MaxOpenFor: short, Jitter: -1,
	})
	if err != nil {
		return nil, err
	}
	defer p.close()
	if err := p.ns[0].m.Trip(ctx, "the service fails", short); err != nil {
		return nil, err
	}
	if err := p.until(ctx, "open", func(n *node) bool { return n.m.Snapshot().Open }); err != nil {
		return nil, err
	}
	let, failed, err := p.probe(ctx)
	if err != nil {
		return nil, err
	}
	return []ratio.Row{{
		Goal: fmt.Sprintf("Redis: calls let through per period by %d nodes of an open fleet", nodes),
		Ours: fmt.Sprintf("%.2f", let/failed), Peer: fmt.Sprintf("breakers without a fleet %d.00", nodes),
		Value: let / failed, Target: ratio.AtMost(1, ""),
		Note: fmt.Sprintf("%.0f calls in %.0f periods of %v", let, failed, short),
	}}, nil
}

// probe lets all nodes call until enough probes have failed, and returns how many calls were let through and how many
// periods have ended so.
func (p *party) probe(ctx context.Context) (let, failed float64, err error) {
	var n atomic.Int64
	calling, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	for _, caller := range p.ns {
		wg.Go(func() {
			for sleep(calling, 5*time.Millisecond) == nil {
				_ = caller.b.Do(ctx, func(context.Context) error { n.Add(1); return errDown })
			}
		})
	}
	err = p.until(ctx, "go on probing", func(n *node) bool { return n.m.Snapshot().Period >= periods })
	stop()
	wg.Wait()
	if err := errors.Join(err, sleep(ctx, short)); err != nil { // the last one is told
		return 0, 0, err
	}
	most, generation := 0, uint64(0)
	for _, n := range p.ns {
		s := n.m.Snapshot()
		most, generation = max(most, s.Period), max(generation, s.Generation)
	}
	if generation != 1 {
		return 0, 0, fmt.Errorf("the fleet closed meanwhile, in generation %d", generation)
	}
	return float64(n.Load()), float64(most), nil
}
