package ring_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/ring"
	"github.com/concordkit/concord/ring/ringtest"
)

func TestWriteSVG(t *testing.T) {
	nodes := append(ringtest.Nodes(3), ring.Node{ID: `<&"\x01é`, Weight: 2}, ring.Node{ID: "out", State: ring.Down})
	for name, v := range map[string]*ring.View{
		"slots":  newRing(t, ring.Slots(16), nodes...).View(),
		"one":    newRing(t, ring.Slots(16), nodes[0]).View(),
		"vnodes": newRing(t, ring.VNodes(20), nodes...).View(),
		"ketama": newRing(t, ring.Ketama(), nodes...).View(),
		"empty":  newRing(t, ring.Slots(16)).View(),
		"many":   newRing(t, ring.Slots(16), ringtest.Nodes(200)...).View(),
	} {
		var b bytes.Buffer
		require.NoError(t, v.WriteSVG(&b), name)
		text := b.String()
		require.Less(t, len(text), 200_000, name)
		for d := xml.NewDecoder(strings.NewReader(text)); ; {
			_, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err, name)
		}
		for _, n := range v.Nodes()[:min(3, len(v.Nodes()))] {
			require.Contains(t, text, n.ID[max(0, len(n.ID)-8):])
		}
		var again bytes.Buffer
		require.NoError(t, v.WriteSVG(&again))
		require.Equal(t, text, again.String())
	}
	require.ErrorIs(t, newRing(t, ring.Slots(16), nodes...).View().WriteSVG(failing{}), errFull)
}

var errFull = errors.New("disk full")

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errFull }
