package main

import (
	"context"
	"slices"

	"github.com/concordkit/concord/internal/benchmarks/breakerbench"
	"github.com/concordkit/concord/internal/benchmarks/electionbench"
	"github.com/concordkit/concord/internal/benchmarks/fleetbench"
	"github.com/concordkit/concord/internal/benchmarks/lockbench"
	"github.com/concordkit/concord/internal/benchmarks/pubsubbench"
	"github.com/concordkit/concord/internal/benchmarks/ratio"
	"github.com/concordkit/concord/internal/benchmarks/retrybench"
	"github.com/concordkit/concord/internal/benchmarks/ringbench"
)

// concept is a concept of the library that has goals.
type concept struct {
	name    string
	measure measure
}

type measure func(ctx context.Context, progress func(string)) (*ratio.Table, error)

// concepts are all of them, in the order of the output.
var concepts = []concept{
	{"lock", lockbench.Measure},
	{"election", electionbench.Measure},
	{"ring", ringbench.Measure},
	{"breaker", both(breakerbench.Measure, fleetbench.Measure)},
	{"retry", retrybench.Measure},
	{"pubsub", pubsubbench.Measure},
}

func indexOf(name string) int {
	return slices.IndexFunc(concepts, func(c concept) bool { return c.name == name })
}

func conceptNames() []string {
	names := make([]string, len(concepts))
	for i, c := range concepts {
		names[i] = c.name
	}
	return names
}

// both measures two parts of a concept, and makes one table of them.
func both(first, second measure) measure {
	return func(ctx context.Context, progress func(string)) (*ratio.Table, error) {
		a, err := first(ctx, progress)
		if err != nil {
			return nil, err
		}
		b, err := second(ctx, progress)
		if err != nil {
			return nil, err
		}
		return &ratio.Table{Rows: slices.Concat(a.Rows, b.Rows), Facts: slices.Concat(a.Facts, b.Facts)}, nil
	}
}
