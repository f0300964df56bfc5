package breakerbench

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
)

// contest compares calls through ours with calls through a peer.
type contest struct {
	ours, peer library
	load       load
	target     ratio.Bound
}

// load is what is measured.
type load struct {
	name    string
	rate    float64 // at which the guard opens
	mix     mix
	refused bool // the guard is open
}

var (
	successes  = load{"succeeding", half, allGood, false}
	someFail   = load{"1 of 10 failing", half, mix{9, 1}, false}
	manyFail   = load{"4 of 10 failing", half, mix{6, 4}, false}
	nearlyAll  = load{"1023 of 1024 failing, opens when all do", 1, mix{1, 1023}, false}
	allRefused = load{"refused", half, allBad, true}
)

// measure compares the CPU time of a call that each of so many goroutines makes.
func (c contest) measure(ctx context.Context, goroutines int, o *ratio.Options) (ratio.Row, error) {
	ours, err := c.load.through(ctx, c.ours, goroutines)
	if err != nil {
		return ratio.Row{}, err
	}
	peer, err := c.load.through(ctx, c.peer, goroutines)
	if err != nil {
		return ratio.Row{}, err
	}
	r, err := ratio.Compare(ours, peer, o)
	if err == nil && !together(r, goroutines) { // the machine may be quieter now
		r, err = ratio.Compare(ours, peer, o)
	}
	if err != nil {
		return ratio.Row{}, err
	}
	row := ratio.Row{
		Goal:   fmt.Sprintf("%s, %s", c.ours.name, c.load.name),
		Ours:   nanos(r.CPU.Ours()),
		Peer:   c.peer.name + " " + nanos(r.CPU.Peer()),
		Value:  r.CPU.Ratio(),
		Target: c.target,
	}
	var notes []string
	if c.target == info {
		notes = append(notes, fmt.Sprintf("%.3g×", row.Value))
	}
	if goroutines > 1 {
		row.Goal += fmt.Sprintf(", %d goroutines", goroutines)
		notes = append(notes, fmt.Sprintf("wall %s to %s, %.3g×", nanos(r.Wall.Ours()), nanos(r.Wall.Peer()), r.Wall.Ratio()))
	}
	if !together(r, goroutines) {
		row.Value = math.NaN()
		notes = append(notes, fmt.Sprintf("not measured: ours ran on %.2g processors, the rest were busy with others", processorsOf(r)))
	}
	row.Note = strings.Join(notes, "; ")
	return row, nil
}

// together reports whether ours ran on as many processors as it has goroutines, nearly. On fewer, nothing was shared, and the
// ratio is that of one goroutine.
func together(r *ratio.Result, goroutines int) bool {
	const nearly = 0.8
	return goroutines == 1 || processorsOf(r) > nearly*float64(goroutines)
}

func processorsOf(r *ratio.Result) float64 { return float64(r.CPU.Ours()) / float64(r.Wall.Ours()) }

// through makes an Op of the load, on a guard of l.
func (d load) through(ctx context.Context, l library, goroutines int) (ratio.Op, error) {
	g, err := d.guard(ctx, l)
	if err != nil {
		return nil, err
	}
	return func(n int) error {
		ran := 0
		if goroutines == 1 {
			ran = d.run(ctx, g, n)
		} else {
			ran = d.split(ctx, g, n, goroutines)
		}
		if want := d.passing(n); ran != want {
			return fmt.Errorf("%s: %d of %d calls were let through, not %d", l.name, ran, n, want)
		}
		return nil
	}, nil
}

// guard returns one in the state that the load is for.
func (d load) guard(ctx context.Context, l library) (guard, error) {
	g, err := l.open(d.rate)
	if err == nil && d.refused {
		g.calls(ctx, minCalls, newWork(allBad))
	}
	return g, err
}

// passing returns how many of n calls have to be let through.
func (d load) passing(n int) int {
	if d.refused {
		return 0
	}
	return n
}

// run makes n calls and returns how many were let through.
func (d load) run(ctx context.Context, g guard, n int) int {
	w := newWork(d.mix)
	g.calls(ctx, n, w)
	return w.ran
}

// split is run, by several goroutines.
func (d load) split(ctx context.Context, g guard, n, goroutines int) int {
	ran := make([]int, goroutines)
	var wg sync.WaitGroup
	for i := range goroutines {
		wg.Go(func() { ran[i] = d.run(ctx, g, (i+1)*n/goroutines-i*n/goroutines) })
	}
	wg.Wait()
	sum := 0
	for _, r := range ran {
		sum += r
	}
	return sum
}
