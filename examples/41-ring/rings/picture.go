package rings

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"github.com/concordkit/concord/ring"
)

// picture draws the ring for people: a handler of one's own would write it to an http.ResponseWriter.
func (o Options) picture(out io.Writer) error {
	if o.SVG == "" {
		fmt.Fprintln(out, "  -svg ring.svg writes one")
		return nil
	}
	r, err := ring.New(cluster(), nil)
	if err != nil {
		return err
	}
	var svg bytes.Buffer
	if err := r.View().WriteSVG(&svg); err != nil {
		return err
	}
	if err := os.WriteFile(o.SVG, svg.Bytes(), 0o644); err != nil {
		return err
	}
	fmt.Fprintln(out, "  written to", o.SVG)
	return nil
}
