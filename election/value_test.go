package election

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatToolsSeeOfAValue(t *testing.T) {
	require.Equal(t, "node-1", string(encode("node-1", "node-1")))
	require.Equal(t, "10.0.0.1:8000\x00id=node-1", string(encode("node-1", "10.0.0.1:8000")))
	for _, foreign := range []string{"", "stock", "a\x00b", "a\x00id=", "a\x00id=b\xff", "a\x00id=" + strings.Repeat("x", 257)} {
		id, value := decode([]byte(foreign))
		require.Equal(t, foreign, id)
		require.Equal(t, foreign, value)
	}
}

func FuzzValue(f *testing.F) {
	f.Add("node-1", "10.0.0.1:8000")
	f.Add("a", "x\x00id=b")
	f.Add("id=", "\x00id=")
	f.Fuzz(func(t *testing.T, id, value string) {
		decode([]byte(value)) // anything may stand there
		if checkID(id) != nil {
			return
		}
		gotID, gotValue := decode(encode(id, value))
		if gotID != id || gotValue != value {
			t.Fatalf("%q, %q became %q, %q", id, value, gotID, gotValue)
		}
	})
}
