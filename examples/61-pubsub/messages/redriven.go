package messages

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/concordkit/concord/pubsub"
)

// redriven is what whoever is on call does: see why, mend the worker, and let it have what was given up.
func redriven(ctx context.Context, out io.Writer, e engine, topic string) error {
	events := make(chan event, 100)
	c := newWorker("C", e.queue, events)
	defer c.queue.Close(ctx)
	c.fixed = true
	if _, err := c.start(ctx, topic); err != nil {
		return err
	}
	letters, err := lettersOf(ctx, c.queue, topic)
	if err != nil {
		return err
	}
	for _, d := range letters {
		fmt.Fprintf(out, "  %s, tried %d times: %s\n", d.ID, d.Attempts, d.Error)
		back, err := c.queue.Redrive(ctx, d)
		if err != nil {
			return err
		}
		fmt.Fprintln(out, "  C knows the price; put back:", back)
	}
	told, err := follow(ctx, events, len(letters))
	if err != nil {
		return err
	}
	for _, d := range letters {
		fmt.Fprintf(out, "  %s: %s\n", d.ID, strings.Join(told[d.ID], ", "))
	}
	letters, err = lettersOf(ctx, c.queue, topic)
	fmt.Fprintln(out, "  dead letters left:", len(letters))
	return err
}

func lettersOf(ctx context.Context, q *pubsub.Queue, topic string) (letters []pubsub.DeadLetter, err error) {
	for d, err := range q.DeadLetters(ctx, topic, group) {
		if err != nil {
			return letters, err
		}
		letters = append(letters, d)
	}
	return letters, nil
}
