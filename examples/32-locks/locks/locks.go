// Package locks is the scenario of section 3.2, distributed locks: three workers change one account. First they lock it
// as one does at first, with SET NX and DEL, then with a lease, a token and a fence.
package locks

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/concordkit/concord/examples/internal/engines"
)

// Shows is what the scenario demonstrates, in one line.
const Shows = "SET NX deletes another holder's lock and lets a paused client write; a lease is told, a fence refuses"

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
	s, commands, err := storeOn(ctx, e)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "A lock with %s:\n", commands)
	if err := obvious(ctx, out, s); err != nil {
		return err
	}
	fmt.Fprintln(out, "\nA lease with a token and a fence:")
	return leased(ctx, out, e)
}
