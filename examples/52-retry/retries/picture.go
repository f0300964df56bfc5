package retries

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// unit is how many retries a # stands for.
const unit = 50

// draw draws a line for each step in which anyone came back.
func draw(out io.Writer, worlds []*world) {
	line(out, "after", worlds, func(w *world) string { return w.name })
	for i := range steps {
		if slices.ContainsFunc(worlds, func(w *world) bool { return w.server.retries[i] > 0 }) {
			line(out, fmt.Sprintf("%.1f s", (time.Duration(i)*step).Seconds()), worlds, func(w *world) string {
				return strings.Repeat("#", (w.server.retries[i]+unit-1)/unit)
			})
		}
	}
}

// tell sums it up.
func tell(out io.Writer, worlds []*world) {
	for _, sum := range []struct {
		what string
		of   func(w *world) int
	}{
		{"retries in all", func(w *world) int { return w.retries(0) }},
		{"after the outage", func(w *world) int { return w.retries(int(outage / step)) }},
		{"most in 100 ms of that", func(w *world) int { return slices.Max(w.server.retries[outage/step:]) }},
		{"clients that gave up", func(w *world) int { return int(w.gaveUp.Load()) }},
		{"others refused", func(w *world) int { return int(w.refused.Load()) }},
	} {
		line(out, sum.what, worlds, func(w *world) string { return fmt.Sprint(sum.of(w)) })
	}
	fmt.Fprint(out, `
Without jitter all come at once, again and again, and in between the server has nothing to do.
Jitter spreads the same retries. While they last they are more than the server can bear, and others are refused.
A budget makes them few, and others do not notice. Its price: who finds none left gets its error at once.
`)
}

// retries returns how many came in that step or later.
func (w *world) retries(from int) (n int) {
	for _, r := range w.server.retries[from:] {
		n += r
	}
	return n
}

func line(out io.Writer, head string, worlds []*world, cell func(*world) string) {
	row := fmt.Sprintf("  %-24s", head)
	for _, w := range worlds {
		row += fmt.Sprintf("%-22s", cell(w))
	}
	fmt.Fprintln(out, strings.TrimRight(row, " "))
}
