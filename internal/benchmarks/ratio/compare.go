// Package ratio compares two implementations of the same thing on a machine that is not quiet.
//
// Nanoseconds of two runs cannot be compared: the machine was another one meanwhile. A ratio can, if both sides are
// measured under the same noise. [Compare] therefore runs them in turn in short slices, in alternating order, divides
// slice by neighbouring slice and takes the median of the quotients. It measures the CPU time of the process, which
// others on the machine disturb least, and wall time beside it.
//
// A [Table] holds the results against their goals, and says which are short.
package ratio

import (
	"fmt"
	"time"
)

// Op runs an operation n times.
type Op func(n int) error

// Each makes an Op of a function that runs the operation once. Its call costs about a nanosecond, too much only for the
// very smallest operations.
func Each(f func() error) Op {
	return func(n int) error {
		for range n {
			if err := f(); err != nil {
				return err
			}
		}
		return nil
	}
}

// Meter reads a clock that only goes forward.
type Meter func() (time.Duration, error)

// Options configure [Compare]. A nil *Options means the defaults.
type Options struct {
	// Slice is about how long one side runs before the other gets its turn. It defaults to 100 ms: a kernel may account
	// the CPU time of threads that run on other cores a tick, up to 10 ms, late.
	Slice time.Duration
	// Pairs is how many slices each side gets. It defaults to 20.
	Pairs int
	// Extra is read around each slice in addition to CPU and wall time; nil measures nothing more.
	Extra Meter
}

// Result is what [Compare] measured.
type Result struct {
	CPU, Wall, Extra Measure
}

// Compare runs ours and peer in turn and measures both.
func Compare(ours, peer Op, o *Options) (*Result, error) {
	if o == nil {
		o = new(Options)
	}
	c := comparison{slice: o.Slice, extra: o.Extra}
	if c.slice == 0 {
		c.slice = 100 * time.Millisecond
	}
	if c.extra == nil {
		c.extra = func() (time.Duration, error) { return 0, nil }
	}
	pairs := o.Pairs
	if pairs == 0 {
		pairs = 20
	}
	return c.run(side{"ours", ours, 0}, side{"peer", peer, 0}, pairs)
}

type comparison struct {
	slice time.Duration
	extra Meter
}

// side is one of the two, with the number of operations that fill a slice.
type side struct {
	name string
	op   Op
	n    int
}

func (c *comparison) run(ours, peer side, pairs int) (*Result, error) {
	for _, s := range []*side{&ours, &peer} {
		if err := c.calibrate(s); err != nil {
			return nil, err
		}
	}
	r := new(Result)
	for i := range pairs {
		order := []*side{&ours, &peer}
		if i%2 == 1 {
			order[0], order[1] = order[1], order[0]
		}
		for _, s := range order {
			t, err := c.time(s)
			if err != nil {
				return nil, err
			}
			r.CPU.add(s == &ours, t.cpu, s.n)
			r.Wall.add(s == &ours, t.wall, s.n)
			r.Extra.add(s == &ours, t.extra, s.n)
		}
	}
	return r, nil
}

// calibrate finds how many operations take about a slice, and warms the side up with that.
func (c *comparison) calibrate(s *side) error {
	for s.n = 1; ; s.n *= 2 {
		t, err := c.time(s)
		if err != nil {
			return err
		}
		if t.wall >= c.slice/2 {
			s.n = max(1, int(float64(s.n)*float64(c.slice)/float64(t.wall)))
			return nil
		}
	}
}

type reading struct {
	cpu, wall, extra time.Duration
}

// time runs one slice. What disturbs the others most is read outside of them.
func (c *comparison) time(s *side) (reading, error) {
	extra, err := c.extra()
	if err != nil {
		return reading{}, fmt.Errorf("extra meter: %w", err)
	}
	cpu, err := cpuTime()
	if err != nil {
		return reading{}, fmt.Errorf("CPU time: %w", err)
	}
	start := time.Now()
	if err := s.op(s.n); err != nil {
		return reading{}, fmt.Errorf("%s: %w", s.name, err)
	}
	wall := time.Since(start)
	cpuAfter, err := cpuTime()
	if err != nil {
		return reading{}, fmt.Errorf("CPU time: %w", err)
	}
	extraAfter, err := c.extra()
	if err != nil {
		return reading{}, fmt.Errorf("extra meter: %w", err)
	}
	return reading{cpuAfter - cpu, wall, extraAfter - extra}, nil
}
