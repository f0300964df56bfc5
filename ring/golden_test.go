package ring_test

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/ring"
	"github.com/concordkit/concord/ring/ringtest"
)

var update = flag.Bool("update", false, "write testdata/golden.txt anew: all keys of all users may move")

// golden describes placements in full: their fingerprint, a digest of the owners of all hashes, and the replicas of some
// keys, for whoever writes the same in another language.
func golden(t *testing.T) string {
	var b strings.Builder
	for _, p := range []ring.Placement{
		ring.Slots(16), ring.Slots(12), ring.VNodes(160), ring.Ketama(), ring.Slots(16).MaxLoad(1.1),
	} {
		for _, n := range []int{1, 3, 10, 100, 1000} {
			for _, weighted := range []bool{false, true} {
				nodes := ringtest.Nodes(n)
				for i := range nodes {
					nodes[i].Zone = fmt.Sprint("zone-", i%3)
					if weighted {
						nodes[i].Weight = float64(1 + i%7*3)
						if p != ring.Ketama() {
							nodes[i].Weight /= 4
						}
					}
				}
				v := newRing(t, p, nodes...).View()
				digest := sha256.New()
				moves, err := ring.Diff(newRing(t, p).View(), v)
				require.NoError(t, err)
				for m := range moves {
					fmt.Fprintf(digest, "%016x %016x %s\n", m.Lo, m.Hi, m.To)
				}
				fmt.Fprintf(&b, "%v nodes=%d weighted=%t fingerprint=%016x owners=%x\n", p, n, weighted, v.Fingerprint(),
					digest.Sum(nil)[:16])
				for _, key := range []string{"", "a", "user:42", "ключ"} {
					fmt.Fprintf(&b, "  %q %016x %s\n", key, v.Hash(key), strings.Join(idsOf(v.AppendReplicas(nil, key, 3)), " "))
				}
			}
		}
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	const file = "testdata/golden.txt"
	got := golden(t)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "keys of users would move")
}
