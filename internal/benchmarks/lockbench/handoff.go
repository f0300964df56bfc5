package lockbench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
	"github.com/concordkit/concord/internal/benchmarks/redisproc"
)

const (
	waiters       = 50
	handOffRounds = 9
	// arrivals is the time in which the waiters of a round arrive, each at a random instant. It is the retry interval of
	// the pollers, so that they poll at random instants, as unrelated processes do: evenly spread polls or a salvo of
	// them would meet the hold of 1 ms always in the same place.
	arrivals = retry
	// settling is how long the last waiter has to get in line.
	settling = 50 * time.Millisecond
	hold     = time.Millisecond
	// patience is how long a waiter may wait for a lock that others hold for milliseconds. Who waits longer was
	// forgotten, or starves; rueidislock lets that happen in some runs.
	patience = 4 * time.Second
)

// handOff compares the time from just before a holder releases until the next one's acquire has returned. The libraries
// take turns, and a round of ours is compared with the round of each peer that follows it.
func handOff(ctx context.Context, s *redisproc.Server) ([]ratio.Row, error) {
	libs := []library{concord, rueidisLib, bsmLibrary, redsyncLib}
	lines := make([][]process, len(libs))
	for i, lib := range libs {
		ps, closeAll, err := lib.openAll(s, waiters+1)
		if err != nil {
			return nil, err
		}
		defer closeAll()
		lines[i] = ps
	}
	p50, forgotten, err := handOffs(ctx, names(libs), lines, waiters)
	if err != nil {
		return nil, err
	}
	notes := []string{"one key (KeyMajority 1), NoLoopTracking", fmt.Sprintf("retry %v", retry), "default retry, 50 to 250 ms"}
	rows := make([]ratio.Row, 0, len(notes))
	for i, limit := range []float64{0.5, 0.1, 0.1} {
		row := handOffRow(handOffGoal(waiters), libs[i+1].name, p50[0], p50[i+1], limit)
		row.Note = notes[i]
		if n := forgotten[i+1]; n > 0 {
			row.Note += fmt.Sprintf("; the peer left %d of %d waiters waiting for a free lock", n, handOffRounds*waiters)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// handOffs lets the libraries take turns, ours first, and returns the p50 of each round and how many waiters were not
// served.
func handOffs(ctx context.Context, names []string, lines [][]process, waiters int) ([][]float64, []int, error) {
	p50, forgotten := make([][]float64, len(names)), make([]int, len(names))
	for round := range handOffRounds {
		for i, name := range names {
			r, err := handOffRound(ctx, lines[i][:waiters+1], fmt.Sprint("hand-off", waiters, "-", round), arrivalsOf(round))
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %w", name, err)
			}
			p50[i] = append(p50[i], ratio.Median(r.gaps))
			forgotten[i] += r.forgotten
		}
	}
	if forgotten[0] > 0 {
		return nil, nil, fmt.Errorf("%s: %d waiters were not served within %v", names[0], forgotten[0], patience)
	}
	return p50, forgotten, nil
}

func handOffGoal(waiters int) string {
	return fmt.Sprintf("hand-off p50, %d waiting processes, hold %v", waiters, hold)
}

func handOffRow(goal, peer string, ours, theirs []float64, limit float64) ratio.Row {
	ratios := make([]float64, len(ours))
	for i := range ours {
		ratios[i] = ours[i] / theirs[i]
	}
	return ratio.Row{
		Goal:   goal,
		Ours:   millis(ratio.Median(ours)),
		Peer:   peer + " " + millis(ratio.Median(theirs)),
		Value:  ratio.Median(ratios),
		Target: ratio.AtMost(limit, ratio.Times),
	}
}

// arrivalsOf returns when the waiters of a round arrive, the same for all libraries.
func arrivalsOf(round int) []time.Duration {
	random := rand.New(rand.NewPCG(1, uint64(round)))
	at := make([]time.Duration, waiters)
	for i := range at {
		at[i] = time.Duration(random.Int64N(int64(arrivals)))
	}
	return at
}

// relay measures what passes between a release and the next acquire.
type relay struct {
	start time.Time

	mu        sync.Mutex
	released  time.Duration // since start
	gaps      []time.Duration
	forgotten int
	err       error
}

// handOffRound lets all but the first of ps wait for name while the first one holds it, and then each hold it in turn.
func handOffRound(ctx context.Context, ps []process, name string, at []time.Duration) (*relay, error) {
	release, err := ps[0].acquire(ctx, name)
	if err != nil {
		return nil, err
	}
	limited, stop := within(ctx, arrivals+settling+patience)
	defer stop()
	r := &relay{start: time.Now()}
	var wg sync.WaitGroup
	for i, p := range ps[1:] {
		wg.Go(func() {
			time.Sleep(at[i])
			r.note(limited, r.run(limited, p, name))
		})
	}
	time.Sleep(arrivals + settling)
	err = r.release(release)
	wg.Wait()
	return r, errors.Join(err, r.err, ctx.Err())
}

// within ends a context after d. It has no deadline that a library could see, as some do other things then.
func within(ctx context.Context, d time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	t := time.AfterFunc(d, cancel)
	return ctx, func() {
		t.Stop()
		cancel()
	}
}

func (r *relay) run(ctx context.Context, p process, name string) error {
	release, err := p.acquire(ctx, name)
	now := time.Since(r.start)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.gaps = append(r.gaps, now-r.released)
	r.mu.Unlock()
	time.Sleep(hold)
	return r.release(release)
}

// note tells those that waited in vain from those that failed.
func (r *relay) note(ctx context.Context, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil:
	case ctx.Err() != nil:
		r.forgotten++
	default:
		r.err = errors.Join(r.err, err)
	}
}

func (r *relay) release(release func() error) error {
	r.mu.Lock()
	r.released = time.Since(r.start)
	r.mu.Unlock()
	return release()
}
