package rings_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/examples/41-ring/rings"
)

const transcript = `A ring in a map, walked as the map comes:
  user:42 had two owners in one process, while no node came or went
  user:7 is behind the last node; its owner is ""

A ring that has an order:
  two rings that learned of the nodes in another order are asked for user:42, 1000 times each
  2000 of 2000 answers: node-e
  their fingerprints are equal: true

What moves of 100,000 keys, and what goes astray, between nodes that stayed as they were:
                                 ideal    hash % n   astray        ring   astray
  a fifth node joins four       20.0 %      79.9 %   60.0 %      19.9 %    0.0 %
  one of five leaves            20.0 %      80.1 %   60.0 %      19.8 %    0.0 %
  one of four gets weight 2     15.0 %      75.0 %   30.0 %      15.2 %    0.0 %
  one of four drains            20.0 %      70.0 %   50.1 %      19.9 %    0.0 %
  and is removed                 0.0 %       0.0 %    0.0 %       0.0 %    0.0 %

What a change tells:
  version 2: node-e joins, 12408 ranges of hashes move
  node-a to node-e: 5.1 % of all hashes
  node-b to node-e: 5.1 % of all hashes
  node-c to node-e: 4.9 % of all hashes
  node-d to node-e: 5.0 % of all hashes

Three replicas of a key:
  user:42 is on node-e in zone south
  user:42 is on node-d in zone north
  user:42 is on node-c in zone west

Ten requests at once for one hot key:
  Lookup: node-e 10; nodes that carry it: 1
  Acquire: node-e 3, node-d 3, node-c 2, node-b 2; nodes that carry it: 4

A picture of the ring:
  -svg ring.svg writes one
`

func TestTranscript(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, rings.Run(t.Context(), &out, rings.Options{}))
	require.Equal(t, transcript, out.String())
}

func TestPicture(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ring.svg")
	require.NoError(t, rings.Run(t.Context(), io.Discard, rings.Options{SVG: file}))
	svg, err := os.ReadFile(file)
	require.NoError(t, err)
	root, text := parse(t, svg)
	require.Equal(t, "svg", root)
	for _, id := range []string{"node-a", "node-b", "node-c", "node-d", "node-e"} {
		require.Contains(t, text, id)
	}
}

// parse returns the name of the first element and the text in all.
func parse(t *testing.T, doc []byte) (root, text string) {
	var all strings.Builder
	for d := xml.NewDecoder(bytes.NewReader(doc)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return root, all.String()
		}
		require.NoError(t, err)
		switch token := token.(type) {
		case xml.StartElement:
			if root == "" {
				root = token.Name.Local
			}
		case xml.CharData:
			all.Write(token)
		}
	}
}

func TestPictureWithoutPlace(t *testing.T) {
	err := rings.Run(t.Context(), io.Discard, rings.Options{SVG: filepath.Join(t.TempDir(), "missing", "ring.svg")})
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, rings.Run(ctx, io.Discard, rings.Options{}), context.Canceled)
}
