// Package breakers is the scenario of section 5.1, circuit breakers: callers of an HTTP server that fails, hangs and
// recovers. First with a breaker that counts failures under a mutex, as one does at first, then with ours.
package breakers

import (
	"context"
	"fmt"
	"io"
	"time"
)

// Shows is what the scenario demonstrates, in one line.
const Shows = "a counter opens when callers hang up and is stuck after a panic; ours does neither, and comes back spread out"

// patience is many times what all takes, so that a breaker that stays open is an error.
const patience = 30 * time.Second

// Options choose what is written.
type Options struct {
	Counts bool // numbers in the histogram instead of bars; they differ from run to run
}

// Run plays the scenario and writes what happens to out.
func Run(ctx context.Context, out io.Writer, o Options) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	scenes := []struct {
		title string
		play  func(context.Context, io.Writer) error
	}{
		{"A counter of failures under a mutex", obvious},
		{"Ours", ours},
		{"A server that flaps, behind ours", flapping},
		{"When the probes of 1000 breakers come that opened together, each for about 1 s", o.together},
	}
	for i, s := range scenes {
		if i > 0 {
			fmt.Fprintln(out)
		}
		fmt.Fprintf(out, "%s:\n", s.title)
		if err := s.play(ctx, out); err != nil {
			return fmt.Errorf("%s: %w", s.title, err)
		}
	}
	return nil
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
