package breakers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

const (
	step  = 100 * time.Millisecond // between two lines of the histogram
	steps = 16                     // an outage, half of it for the jitter, and one for who is late
)

// fleet is the breakers of all processes: those that are open, and when the others let their probe through.
type fleet struct {
	open []do
	came [steps]int
}

// call makes a call through each breaker that was open.
func (f *fleet) call(ctx context.Context, after time.Duration) {
	at := min(int(after/step), steps-1)
	f.open = slices.DeleteFunc(f.open, func(do do) bool {
		passed := do(ctx, func(context.Context) error { return nil }) == nil
		if passed {
			f.came[at]++
		}
		return passed
	})
}

func broken(context.Context) error { return errors.New("connection refused") }

// draw draws a line for each step in which anyone came.
func (o Options) draw(out io.Writer, counters, ours *fleet) {
	fmt.Fprintf(out, "  %-8s%-12s%s\n", "after", "counters", "ours")
	for i := range steps {
		left, right := o.bar(counters.came[i]), o.bar(ours.came[i])
		if left+right != "" {
			at := time.Duration(i) * step
			fmt.Fprintf(out, "  %.1f s   %-12s%s\n", at.Seconds(), left, right)
		}
	}
	fmt.Fprintln(out, "  a # is up to a fifth of them; less than a twentieth is not drawn")
	fmt.Fprintln(out, "  more than a fifth of ours came within one step:", slices.Max(ours.came[:]) > processes/5)
}

// bar has a length that the jitter does not change.
func (o Options) bar(n int) string {
	const fifth, twentieth = processes / 5, processes / 20
	switch {
	case o.Counts:
		return fmt.Sprint(n)
	case n < twentieth:
		return ""
	}
	return strings.Repeat("#", (n+fifth-1)/fifth)
}
