package ratio

import (
	"fmt"
	"io"
	"strings"
)

// Bound is what a goal asks of a value. The zero Bound asks nothing: its row is for information.
type Bound struct {
	sign  string
	limit float64
	unit  string
}

// Times is the unit of a ratio of ours to the peer.
const Times = "×"

const most, least = "≤", "≥"

// AtMost asks for a value of limit or less.
func AtMost(limit float64, unit string) Bound { return Bound{most, limit, unit} }

// AtLeast asks for a value of limit or more.
func AtLeast(limit float64, unit string) Bound { return Bound{least, limit, unit} }

// asks reports whether b asks for anything.
func (b Bound) asks() bool { return b.sign != "" }

// Short reports whether v fails the bound. A value that is not a number fails each.
func (b Bound) Short(v float64) bool {
	switch b.sign {
	case most:
		return !(v <= b.limit)
	case least:
		return !(v >= b.limit)
	}
	return false
}

// String returns the bound as a table shows it.
func (b Bound) String() string {
	if !b.asks() {
		return ""
	}
	return b.sign + " " + quantity(b.limit, b.unit)
}

// Row is one goal and what came of it.
type Row struct {
	Goal string
	// Ours and Peer are what was measured, with units; an empty one has no meaning in this row.
	Ours, Peer string
	// Value is what Target bounds, in its unit.
	Value  float64
	Target Bound
	Note   string
}

// Short reports whether the goal is not met.
func (r Row) Short() bool { return r.Target.Short(r.Value) }

func (r Row) status() string {
	switch {
	case !r.Target.asks():
		return "info"
	case r.Short():
		return "short"
	}
	return "ok"
}

func (r Row) ratio() string {
	if r.Target.unit != Times {
		return ""
	}
	return quantity(r.Value, Times)
}

// Table is what a concept has measured.
type Table struct {
	Rows []Row
	// Facts say what the numbers depend on, a sentence each.
	Facts []string
}

// Short returns how many goals are not met.
func (t *Table) Short() int {
	n := 0
	for _, r := range t.Rows {
		if r.Short() {
			n++
		}
	}
	return n
}

// ExitCode returns what a command that prints t exits with: 1 when a goal is short.
func (t *Table) ExitCode() int { return min(t.Short(), 1) }

// Write writes t as Markdown.
func (t *Table) Write(w io.Writer) error {
	var b strings.Builder
	b.WriteString("| goal | ours | peer | ratio | target | | note |\n|---|---|---|---|---|---|---|\n")
	for _, r := range t.Rows {
		cells := []string{r.Goal, r.Ours, r.Peer, r.ratio(), r.Target.String(), r.status(), r.Note}
		for _, c := range cells {
			if c == "" {
				c = "–"
			}
			fmt.Fprintf(&b, "| %s ", strings.ReplaceAll(c, "|", `\|`))
		}
		b.WriteString("|\n")
	}
	goals := 0
	for _, r := range t.Rows {
		if r.Target.asks() {
			goals++
		}
	}
	fmt.Fprintf(&b, "\n%d of %d goals are met.\n", goals-t.Short(), goals)
	for _, f := range t.Facts {
		fmt.Fprintf(&b, "%s\n", f)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// quantity formats v with as many digits as tell something.
func quantity(v float64, unit string) string {
	digits := fmt.Sprintf("%.3g", v)
	if v >= 100 {
		digits = fmt.Sprintf("%.0f", v)
	}
	if unit == Times || unit == "" {
		return digits + unit
	}
	return digits + " " + unit
}
