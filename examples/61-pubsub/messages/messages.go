// Package messages is the scenario of section 6.1, publish and subscribe: orders go from a shop to those who want to know
// of them. First on a Bus as one uses it at first, and as it is meant; then through a Queue, one of whose workers is
// killed, while one of its messages can never be handled.
package messages

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/concordkit/concord/pubsub"
)

// Shows is what the scenario demonstrates, in one line.
const Shows = "a Bus loses what is not flushed and what came before; a Queue gives a dead worker's messages to others"

// patience is many times what the slowest engine takes, so that a server that is not there is an error.
const patience = 30 * time.Second

// manners is how long it may take to clean up.
const manners = 5 * time.Second

// orders is how many there are in each scene.
const orders = 5

// Options choose the engine.
type Options struct {
	Engine string // "mem", the default, "redis" or "nats"
	Addr   string // of the engine's server; the default is its usual port on localhost
}

// Run plays the scenario and writes what happens to out.
func Run(ctx context.Context, out io.Writer, o Options) (err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	e, err := open(ctx, o)
	if err != nil {
		return err
	}
	defer e.close()
	topic := "orders." + pubsub.NewID() // of this run alone
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), manners)
		defer cancel()
		err = errors.Join(err, e.forget(ctx, topic))
	}()
	for i, s := range []struct {
		title string
		play  func(ctx context.Context, out io.Writer, e engine, topic string) error
	}{
		{"A Bus, used as one does at first", obvious},
		{"A Bus, subscribed to before and closed after", kept},
		{"A Queue, one of whose workers is killed", killed},
		{"What could not be handled, looked at and put back", redriven},
	} {
		if i > 0 {
			fmt.Fprintln(out)
		}
		fmt.Fprintf(out, "%s:\n", s.title)
		if err := s.play(ctx, out, e, topic); err != nil {
			return fmt.Errorf("%s: %w", s.title, err)
		}
	}
	return nil
}

// order is a message that can be told apart.
func order(n int) pubsub.Message {
	return pubsub.Message{ID: fmt.Sprint("order ", n), Data: []byte("a book")}
}
