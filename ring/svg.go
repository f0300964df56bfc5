package ring

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// The picture, in pixels.
const (
	svgWidth, svgHeight = 1020, 560
	svgX, svgY          = 270, 280 // of the centre
	svgOuter, svgInner  = 230, 150
	svgSlices           = 720
	svgRows             = 20
	svgRow              = 24
	svgLegend           = 540
	svgBar              = 120 // of a node with its fair share
)

// WriteSVG draws v: the circle of hashes, cut into 720 slices in the colours of the nodes that own their middles, and beside it
// the share of each node, of the first 20 by ID where there are more. A node has the same colour in each picture.
func (v *View) WriteSVG(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n",
		svgWidth, svgHeight)
	fmt.Fprintf(b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", svgWidth, svgHeight)
	v.drawCircle(b)
	fmt.Fprintf(b, `<g text-anchor="middle"><text x="%d" y="%d" font-size="18">%d of %d nodes active</text>`,
		svgX, svgY-14, v.active, len(v.nodes))
	fmt.Fprintf(b, `<text x="%d" y="%d">%v</text><text x="%d" y="%d" fill="#666">version %d, %016x</text></g>`+"\n",
		svgX, svgY+10, v.place, svgX, svgY+32, v.version, v.fingerprint)
	v.drawLegend(b)
	fmt.Fprintln(b, "</svg>")
	return b.Flush()
}

func (v *View) drawCircle(w io.Writer) {
	if v.table == nil {
		fmt.Fprintf(w, `<circle cx="%d" cy="%d" r="%d" fill="none" stroke="#ccc"/>`+"\n", svgX, svgY, svgOuter)
		return
	}
	const slice = math.MaxUint64/svgSlices + 1
	for from := 0; from < svgSlices; {
		owner := v.table.at(uint64(from)*slice + slice/2)
		to := from + 1
		for to < svgSlices && to < from+svgSlices/4 && v.table.at(uint64(to)*slice+slice/2) == owner {
			to++ // an arc of more than half a circle would need another flag
		}
		fmt.Fprintf(w, `<path d="%s" fill="%s"/>`+"\n", arc(from, to), colour(v.nodes[owner].ID))
		from = to
	}
}

// arc returns the outline of the slices from one up to, not including, another.
func arc(from, to int) string {
	at := func(slice int, radius float64) string {
		sin, cos := math.Sincos(2 * math.Pi * float64(slice) / svgSlices)
		return fmt.Sprintf("%.1f %.1f", svgX+radius*sin, svgY-radius*cos)
	}
	return fmt.Sprintf("M%s A%d %d 0 0 1 %s L%s A%d %d 0 0 0 %s Z", at(from, svgOuter), svgOuter, svgOuter, at(to, svgOuter),
		at(to, svgInner), svgInner, svgInner, at(from, svgInner))
}

func (v *View) drawLegend(w io.Writer) {
	var weight float64
	for _, n := range v.nodes {
		if n.State == Active {
			weight += n.Weight
		}
	}
	y := svgRow * 2
	for i, share := range v.shares() {
		n := v.nodes[i]
		if i == svgRows {
			fmt.Fprintf(w, `<text x="%d" y="%d" fill="#666">and %d more</text>`+"\n", svgLegend, y, len(v.nodes)-svgRows)
			break
		}
		text, width, fill := n.State.String(), 0.0, "#bbb"
		if n.State == Active {
			relative := share * weight / n.Weight
			text = fmt.Sprintf("%.2f %% of the keys, %.2f of its share", 100*share, relative)
			width, fill = min(relative, 2)*svgBar, colour(n.ID)
		}
		fmt.Fprintf(w, `<rect x="%d" y="%d" width="12" height="12" fill="%s"/>`, svgLegend, y-11, fill)
		fmt.Fprintf(w, `<text x="%d" y="%d">%s</text>`, svgLegend+20, y, escape(shorten(n.ID, 22)))
		fmt.Fprintf(w, `<rect x="%d" y="%d" width="%.1f" height="3" fill="%s"/>`, svgLegend+180, y+4, width, fill)
		fmt.Fprintf(w, `<text x="%d" y="%d" fill="#444">%s</text>`+"\n", svgLegend+180, y, text)
		y += svgRow
	}
}

// colour depends on the ID alone.
func colour(id string) string {
	h := mix(xxhash.Sum64String(id))
	return fmt.Sprintf("hsl(%d %d%% %d%%)", h%360, 55+h>>16%30, 42+h>>32%22)
}

func shorten(s string, most int) string {
	runes := []rune(s)
	if len(runes) <= most {
		return s
	}
	return string(runes[:most-1]) + "…"
}

func escape(s string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(s)) // never fails on a Builder
	return b.String()
}
