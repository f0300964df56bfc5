// Command ratios compares concord with other libraries, side by side in one process, and prints a Markdown table for
// each concept: goal, ours, peer, ratio, target, ok or short.
//
//	GOWORK=off go -C internal/benchmarks run ./cmd/ratios [concept ...]
//
// It exits with 1 when a goal is short, and with 2 when something could not be measured.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	exitShort  = 1
	exitFailed = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run measures the concepts that args name, or all, and returns the exit code.
func run(ctx context.Context, args []string, out, log io.Writer) int {
	chosen, err := choose(args)
	if err != nil {
		fmt.Fprintln(log, "ratios:", err)
		return exitFailed
	}
	code := 0
	for _, c := range chosen {
		load := loadAverage()
		start := time.Now()
		table, err := c.measure(ctx, func(what string) {
			fmt.Fprintf(log, "%4.0f s  %s: %s\n", time.Since(start).Seconds(), c.name, what)
		})
		if err != nil {
			fmt.Fprintf(log, "ratios: %s: %v\n", c.name, err)
			return exitFailed
		}
		table.Facts = append(table.Facts, machine(load))
		fmt.Fprintf(out, "\n## %s\n\n", c.name)
		if err := table.Write(out); err != nil {
			fmt.Fprintln(log, "ratios:", err)
			return exitFailed
		}
		code = max(code, table.ExitCode())
	}
	return code
}

// choose returns the concepts of those names, or all.
func choose(names []string) ([]concept, error) {
	if len(names) == 0 {
		return concepts, nil
	}
	var chosen []concept
	for _, name := range names {
		i := indexOf(name)
		if i < 0 {
			return nil, fmt.Errorf("no concept %q: want some of %s", name, strings.Join(conceptNames(), ", "))
		}
		chosen = append(chosen, concepts[i])
	}
	return chosen, nil
}

func machine(load string) string {
	return fmt.Sprintf("Machine: %s/%s, %d CPUs, %s; load average before the run: %s.",
		runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), load)
}

// loadAverage returns how busy the machine is with others, which disturbs even ratios.
func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(b))[:3], " ")
}
