// Package elections is the scenario of section 3.1, leader election: one process of three is to bill, the others stand
// by. First the highest ID leads, as one does at first, then whoever has won an election and has a term.
package elections

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/concordkit/concord/examples/internal/engines"
)

// Shows is what the scenario demonstrates, in one line.
const Shows = "where the highest ID leads two lead and a write is lost; ours ends before the next begins, a fence refuses"

// patience is many times what the slowest engine takes, so that a server that is not there is an error.
const patience = 30 * time.Second

// Options choose the engine.
type Options struct {
	Engine string // "mem", the default, "redis", "etcd" or "nats"
	Addr   string // of the engine's server; the default is its usual port on localhost
}

// Run plays the scenario and writes what happens to out.
func Run(ctx context.Context, out io.Writer, o Options) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	e, err := engines.Open(ctx, o.Engine, o.Addr)
	if err != nil {
		return err
	}
	defer e.Close()
	fmt.Fprintln(out, "The highest ID leads:")
	obvious(out)
	fmt.Fprintln(out, "\nA leader with a term, and three that stand for election:")
	return elected(ctx, out, e)
}
