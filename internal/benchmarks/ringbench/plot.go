package ringbench

import (
	"fmt"
	"html"
	"io"
	"strings"
)

// The plot has a row for each library and two panels: bars on the left, points on the right. All lengths are pixels.
const (
	plotWidth = 1000
	plotTop   = 124
	rowHeight = 56
	barHeight = 13
	barStep   = 16
	labelEdge = 218
)

// axis maps values to pixels. What is beyond its end is drawn at the end.
type axis struct {
	from, to    float64
	left, right float64
}

var (
	loadAxis = axis{1, 1.6, 230, 590}
	moveAxis = axis{0.7, 1.5, 680, 940}
)

func (a axis) at(v float64) float64 {
	return a.left + (min(max(v, a.from), a.to)-a.from)/(a.to-a.from)*(a.right-a.left)
}

// shades are for 10, 100 and 1000 nodes.
var (
	ourShades  = []string{"#9cc3ea", "#4a8fd6", "#1b4f91"}
	peerShades = []string{"#cdcdcd", "#979797", "#5a5a5a"}
)

const (
	ink   = "#1f2328"
	faint = "#d8dde3"
)

// drawing is an SVG in the making.
type drawing struct{ strings.Builder }

// Plot draws spreads as SVG. It brings a background, since a page may be dark.
func Plot(w io.Writer, all []Spread) error {
	rows := 0
	for range rowsOf(all) {
		rows++
	}
	height := plotTop + rows*rowHeight + 46
	d := new(drawing)
	fmt.Fprintf(d, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="13" fill="%s">`+"\n",
		plotWidth, height, plotWidth, height, ink)
	fmt.Fprintf(d, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", plotWidth, height)
	d.heading()
	bottom := float64(plotTop + rows*rowHeight)
	d.grid(loadAxis, 0.1, bottom)
	d.grid(moveAxis, 0.1, bottom)
	y := float64(plotTop)
	for of := range rowsOf(all) {
		d.row(of, y)
		y += rowHeight
	}
	d.WriteString("</svg>\n")
	_, err := io.WriteString(w, d.String())
	return err
}

func (d *drawing) heading() {
	d.text(20, 32, "start", 18, "Where 1,000,000 keys go, and which of them move")
	d.text(20, 72, "start", 13, "blue: concord")
	d.text(20, 92, "start", 13, "grey: other libraries")
	d.text(loadAxis.left, 72, "start", 14, "Most keys of a node / mean")
	d.text(loadAxis.left, 92, "start", 12, "1 is even; shorter is better")
	d.text(moveAxis.left, 72, "start", 14, "Keys moved by a join / least possible")
	d.text(moveAxis.left, 92, "start", 12, "1 is the newcomer's fair share")
	x := 630.0
	for i, n := range sizes {
		d.rect(x, 21, 12, 12, ourShades[i])
		d.rect(x+14, 21, 12, 12, peerShades[i])
		label := fmt.Sprintf("%d nodes", n)
		d.text(x+32, 32, "start", 13, label)
		x += 56 + 6.5*float64(len(label))
	}
}

// grid draws the lines of an axis and what they mean.
func (d *drawing) grid(a axis, step, bottom float64) {
	for i := 0; a.from+float64(i)*step < a.to+step/2; i++ {
		v := a.from + float64(i)*step
		colour := faint
		if v > 1-step/2 && v < 1+step/2 {
			colour = ink
		}
		x := a.at(v)
		fmt.Fprintf(d, `<path d="M%.1f %d V%.1f" stroke="%s"/>`+"\n", x, plotTop-12, bottom, colour)
		d.text(x, bottom+20, "middle", 12, fmt.Sprintf("%.1f", v))
	}
}

// row draws a library.
func (d *drawing) row(of []Spread, y float64) {
	shades := peerShades
	if of[0].Ours {
		shades = ourShades
	}
	d.text(labelEdge, y+29, "end", 13, of[0].Name)
	for i, s := range of {
		at := y + 1 + float64(i*barStep)
		d.bar(at, s.Max, shades[i])
		d.point(at+barHeight/2+0.5, excess(s.Join), shades[i])
	}
}

// bar draws a value from 1 on.
func (d *drawing) bar(y, v float64, colour string) {
	end := loadAxis.at(v)
	d.rect(loadAxis.left, y, end-loadAxis.left, barHeight, colour)
	d.gap(loadAxis, v, y+15)
	d.text(end+5, y+11, "start", 11, fmt.Sprintf("%.2f", v))
}

// point draws a value with a line to 1.
func (d *drawing) point(y, v float64, colour string) {
	x, one := moveAxis.at(v), moveAxis.at(1)
	fmt.Fprintf(d, `<path d="M%.1f %.1f H%.1f" stroke="%s" stroke-width="2"/>`+"\n", one, y, x, colour)
	d.gap(moveAxis, v, y+8)
	fmt.Fprintf(d, `<circle cx="%.1f" cy="%.1f" r="5" fill="%s"/>`+"\n", x, y, colour)
	if v < 1 {
		d.text(x-9, y+4, "end", 11, fmt.Sprintf("%.2f", v))
	} else {
		d.text(x+9, y+4, "start", 11, fmt.Sprintf("%.2f", v))
	}
}

// gap shows that a value goes on beyond the end of its axis.
func (d *drawing) gap(a axis, v, bottom float64) {
	if v > a.to {
		fmt.Fprintf(d, `<path d="M%.1f %.1f l6 -17 h5 l-6 17 z" fill="#ffffff"/>`+"\n", a.right-24, bottom)
	}
}

func (d *drawing) rect(x, y, width, height float64, colour string) {
	fmt.Fprintf(d, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`+"\n", x, y, width, height, colour)
}

func (d *drawing) text(x, y float64, anchor string, size int, s string) {
	fmt.Fprintf(d, `<text x="%.1f" y="%.1f" text-anchor="%s" font-size="%d">%s</text>`+"\n", x, y, anchor, size, html.EscapeString(s))
}
