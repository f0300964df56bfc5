package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
)

// with replaces the concepts by one that returns table and err.
func with(t *testing.T, table *ratio.Table, err error) {
	t.Helper()
	saved := concepts
	concepts = []concept{{"fake", func(_ context.Context, progress func(string)) (*ratio.Table, error) {
		progress("faking")
		return table, err
	}}}
	t.Cleanup(func() { concepts = saved })
}

func TestExitCodes(t *testing.T) {
	goal := func(v float64) *ratio.Table {
		return &ratio.Table{Rows: []ratio.Row{{Goal: "a", Value: v, Target: ratio.AtMost(1, ratio.Times)}}}
	}
	for _, c := range []struct {
		table *ratio.Table
		err   error
		code  int
		out   string
	}{
		{goal(1), nil, 0, "1 of 1 goals are met."},
		{goal(1.5), nil, exitShort, "| short |"},
		{nil, errors.New("no server"), exitFailed, "no server"},
	} {
		with(t, c.table, c.err)
		var out strings.Builder
		require.Equal(t, c.code, run(t.Context(), nil, &out, &out))
		require.Contains(t, out.String(), c.out)
	}
}

func TestUnknownConcept(t *testing.T) {
	var out strings.Builder
	require.Equal(t, exitFailed, run(t.Context(), []string{"lokc"}, &out, &out))
	require.Contains(t, out.String(), `no concept "lokc": want some of lock`)
}
