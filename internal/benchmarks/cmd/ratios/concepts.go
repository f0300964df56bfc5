package main

import (
	"context"
	"slices"

	"github.com/concordkit/concord/internal/benchmarks/breakerbench"
	"github.com/concordkit/concord/internal/benchmarks/electionbench"
	"github.com/concordkit/concord/internal/benchmarks/lockbench"
	"github.com/concordkit/concord/internal/benchmarks/ratio"
	"github.com/concordkit/concord/internal/benchmarks/retrybench"
	"github.com/concordkit/concord/internal/benchmarks/ringbench"
)

// concept is a concept of the library that has goals.
type concept struct {
	name    string
	measure func(ctx context.Context, progress func(string)) (*ratio.Table, error)
}

// concepts are all of them, in the order of the output.
var concepts = []concept{
	{"lock", lockbench.Measure},
	{"election", electionbench.Measure},
	{"ring", ringbench.Measure},
	{"breaker", breakerbench.Measure},
	{"retry", retrybench.Measure},
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
