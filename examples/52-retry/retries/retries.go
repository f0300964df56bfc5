// Package retries is the scenario of section 5.2, retries: a thousand clients whose calls fail at the same instant, because
// their server goes down, and what it has to bear when it is back. First with a loop that doubles its wait, then with ours.
package retries

import (
	"context"
	"fmt"
	"io"
	"time"
)

// Shows is what the scenario demonstrates, in one line.
const Shows = "a thousand that failed together come back together; jitter spreads them, and a budget bounds what they add"

// patience is many times what all takes.
const patience = 30 * time.Second

const (
	clients   = 1000
	processes = 10 // that they are in
	attempts  = 5
	delay     = 400 * time.Millisecond // before the first retry
	maxDelay  = 2 * delay
)

// do makes a call, and retries it.
type do func(ctx context.Context, call func(context.Context) error) error

// Run plays the scenario and writes what happens to out. How the jitter falls differs from run to run.
func Run(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	worlds, err := newWorlds()
	if err != nil {
		return err
	}
	if err := play(ctx, worlds); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d clients call a server that is down for %v, and retry. A # is up to %d retries.\n\n", clients, outage, unit)
	draw(out, worlds)
	fmt.Fprintln(out)
	tell(out, worlds)
	return nil
}

// newWorlds returns the three that are compared.
func newWorlds() ([]*world, error) {
	jitter, err := jittered()
	if err != nil {
		return nil, err
	}
	budgets := make([]do, processes)
	for i := range budgets {
		if budgets[i], err = budgeted(); err != nil {
			return nil, err
		}
	}
	return []*world{
		newWorld("no jitter", func(int) do { return obvious }),
		newWorld("jitter", func(int) do { return jitter }),
		newWorld("with a budget", func(client int) do { return budgets[client%processes] }),
	}, nil
}
