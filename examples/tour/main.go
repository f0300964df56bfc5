// Command tour runs every example in the order of the sections and ends with a table of what they showed. It needs
// nothing but Go.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"text/tabwriter"
	"time"

	"github.com/concordkit/concord/examples/31-election/elections"
	"github.com/concordkit/concord/examples/32-locks/locks"
	"github.com/concordkit/concord/examples/41-ring/rings"
	"github.com/concordkit/concord/examples/51-breaker/breakers"
	"github.com/concordkit/concord/examples/52-retry/retries"
	"github.com/concordkit/concord/examples/61-pubsub/messages"
)

// A stop is one section's example.
type stop struct {
	section, folder, shows string
	run                    func(context.Context, io.Writer) error
}

var stops = []stop{
	{"3.1 Leader election", "examples/31-election", elections.Shows, func(ctx context.Context, out io.Writer) error {
		return elections.Run(ctx, out, elections.Options{})
	}},
	{"3.2 Distributed locks", "examples/32-locks", locks.Shows, func(ctx context.Context, out io.Writer) error {
		return locks.Run(ctx, out, locks.Options{})
	}},
	{"4.1 Consistent hashing", "examples/41-ring", rings.Shows, func(ctx context.Context, out io.Writer) error {
		return rings.Run(ctx, out, rings.Options{})
	}},
	{"5.1 Circuit breakers", "examples/51-breaker", breakers.Shows, func(ctx context.Context, out io.Writer) error {
		return breakers.Run(ctx, out, breakers.Options{})
	}},
	{"5.2 Retries", "examples/52-retry", retries.Shows, retries.Run},
	{"6.1 Publish and subscribe", "examples/61-pubsub", messages.Shows, func(ctx context.Context, out io.Writer) error {
		return messages.Run(ctx, out, messages.Options{})
	}},
}

func main() {
	if err := tour(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func tour(ctx context.Context, out io.Writer) error {
	took := make([]time.Duration, len(stops))
	for i, s := range stops {
		fmt.Fprintf(out, "\n== %s (%s)\n\n", s.section, s.folder)
		start := time.Now()
		if err := s.run(ctx, out); err != nil {
			return fmt.Errorf("%s: %w", s.folder, err)
		}
		took[i] = time.Since(start)
	}
	fmt.Fprint(out, "\n== What was shown\n\n")
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i, s := range stops {
		fmt.Fprintf(w, "%s\t%.1f s\t%s\n", s.section, took[i].Seconds(), s.shows)
	}
	return w.Flush()
}
