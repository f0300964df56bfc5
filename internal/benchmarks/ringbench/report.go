package ringbench

import (
	"fmt"
	"io"
	"strings"
)

// WriteTable writes spreads as Markdown, a row for each library.
func WriteTable(w io.Writer, all []Spread) error {
	var b strings.Builder
	b.WriteString("| with 10, 100, 1000 nodes | most keys/mean | fewest keys/mean | moved by a join | moved by a leave | between nodes that stay |\n")
	b.WriteString("|---|---|---|---|---|---|\n")
	for of := range rowsOf(all) {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", of[0].Name,
			cell(of, func(s Spread) string { return fmt.Sprintf("%.3f", s.Max) }),
			cell(of, func(s Spread) string { return fmt.Sprintf("%.3f", s.Min) }),
			cell(of, func(s Spread) string { return fmt.Sprintf("%.2f", excess(s.Join)) }),
			cell(of, func(s Spread) string { return fmt.Sprintf("%.2f", excess(s.Leave)) }),
			cell(of, func(s Spread) string { return percent(s.astray()) }))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// rowsOf yields the spreads of each library together.
func rowsOf(all []Spread) func(yield func([]Spread) bool) {
	return func(yield func([]Spread) bool) {
		for len(all) > 0 {
			n := 1
			for n < len(all) && all[n].Name == all[0].Name {
				n++
			}
			if !yield(all[:n]) {
				return
			}
			all = all[n:]
		}
	}
}

func cell(of []Spread, text func(Spread) string) string {
	texts := make([]string, len(of))
	for i, s := range of {
		texts[i] = text(s)
	}
	return strings.Join(texts, ", ")
}
