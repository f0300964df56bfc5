// Command balance measures how evenly concord's ring and other libraries place a million keys on nodes, and what they move
// when a node joins or leaves. It prints a Markdown table, and writes a plot where -svg says. Both are the same
// on every machine.
//
//	GOWORK=off go -C internal/benchmarks run ./cmd/balance -svg ringbench/balance.svg
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/concordkit/concord/internal/benchmarks/ringbench"
)

func main() {
	svg := flag.String("svg", "", "the `file` to write the plot to")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *svg, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "balance:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, svg string, out io.Writer) error {
	all, err := ringbench.Spreads(ctx)
	if err != nil {
		return err
	}
	if err := ringbench.WriteTable(out, all); err != nil || svg == "" {
		return err
	}
	var plot bytes.Buffer
	if err := ringbench.Plot(&plot, all); err != nil {
		return err
	}
	return os.WriteFile(svg, plot.Bytes(), 0o666)
}
