package lockbench

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
	"github.com/concordkit/concord/internal/benchmarks/redisproc"
)

const (
	workers        = 10
	workFor        = 1500 * time.Millisecond
	workHold       = 2 * time.Millisecond
	fairnessRounds = 3
)

// fairness lets workers, a process each, take the same lock again and again. The peers are for comparison: the goals are
// of ours alone.
func fairness(ctx context.Context, s *redisproc.Server) ([]ratio.Row, error) {
	libs := []library{concord, rueidisLib, bsmLibrary, redsyncLib}
	shares := make([]share, len(libs))
	for i, lib := range libs {
		ps, closeAll, err := lib.openAll(s, workers)
		if err != nil {
			return nil, err
		}
		rounds := 1
		if i == 0 {
			rounds = fairnessRounds
		}
		shares[i], err = workRounds(ctx, ps, lib.name, rounds)
		closeAll()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", lib.name, err)
		}
	}
	return fairnessRows(libs, shares), nil
}

func fairnessRows(libs []library, shares []share) []ratio.Row {
	peers := func(f func(share) string) string {
		var texts []string
		for i, lib := range libs[1:] {
			texts = append(texts, lib.name+" "+f(shares[i+1]))
		}
		return strings.Join(texts, ", ")
	}
	wait := func(s share) string { return fmt.Sprintf("%.2f", s.wait) }
	least := func(s share) string { return fmt.Sprintf("%.2f", s.least) }
	total := func(s share) string { return fmt.Sprintf("%.0f", s.total) }
	goal := fmt.Sprintf("%d workers loop %v, hold %v: ", workers, workFor, workHold)
	return []ratio.Row{{
		Goal: goal + "max/mean wait", Ours: wait(shares[0]), Peer: peers(wait),
		Value: shares[0].wait, Target: ratio.AtMost(1.5, ""),
		Note: fmt.Sprintf("median of %d rounds", fairnessRounds),
	}, {
		Goal: goal + "fewest/mean turns of a worker", Ours: least(shares[0]), Peer: peers(least),
		Value: shares[0].least, Target: ratio.AtLeast(0.8, ""),
		Note: fmt.Sprintf("turns in all: %s %s, %s", libs[0].name, total(shares[0]), peers(total)),
	}}
}

// share says how a lock was shared.
type share struct {
	wait  float64 // the longest wait / the mean one
	least float64 // the fewest turns that a worker had / their mean
	total float64 // turns
}

func workRounds(ctx context.Context, ps []process, name string, rounds int) (share, error) {
	var wait, least, total []float64
	for round := range rounds {
		s, err := work(ctx, ps, fmt.Sprint("fair", name, round))
		if err != nil {
			return s, err
		}
		wait, least, total = append(wait, s.wait), append(least, s.least), append(total, s.total)
	}
	return share{ratio.Median(wait), ratio.Median(least), ratio.Median(total)}, nil
}

// work lets each of ps take turns for a while. A wait that has not ended long after that counts as far as it
// went.
func work(ctx context.Context, ps []process, name string) (share, error) {
	waits := make([][]time.Duration, len(ps))
	limited, stop := within(ctx, workFor+patience)
	defer stop()
	var g errgroup.Group
	start := time.Now()
	for i, p := range ps {
		g.Go(func() error {
			for time.Since(start) < workFor {
				asked := time.Now()
				release, err := p.acquire(limited, name)
				waits[i] = append(waits[i], time.Since(asked))
				if err != nil && limited.Err() != nil {
					return ctx.Err()
				}
				if err != nil {
					return err
				}
				time.Sleep(workHold)
				if err := release(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return share{}, err
	}
	return shareOf(waits), nil
}

func shareOf(waits [][]time.Duration) share {
	all := slices.Concat(waits...)
	var sum time.Duration
	for _, w := range all {
		sum += w
	}
	fewest := len(all)
	for _, ws := range waits {
		fewest = min(fewest, len(ws))
	}
	turns := float64(len(all))
	return share{
		wait:  float64(slices.Max(all)) / (float64(sum) / turns),
		least: float64(fewest) / (turns / float64(len(waits))),
		total: turns,
	}
}
