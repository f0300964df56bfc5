package pubsubbench

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A flow that loses a message must not count as fast.
func TestArrivalsCountEach(t *testing.T) {
	for _, open := range []opener{concordMemory, goChannel, watermillGoChannel} {
		f, err := open(t.Context())
		require.NoError(t, err)
		require.NoError(t, f.op(10))
		require.NoError(t, f.op(1000))
		require.EqualValues(t, 1010, f.came.got.Load(), f.name)
		f.close()
	}
}
