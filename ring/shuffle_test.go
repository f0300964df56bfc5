package ring_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/ring"
	"github.com/concordkit/concord/ring/ringtest"
)

func zoned(n int) []ring.Node {
	nodes := ringtest.Nodes(n)
	for i := range nodes {
		nodes[i].Zone = fmt.Sprint("zone ", i%3)
	}
	return nodes
}

func TestShuffle(t *testing.T) {
	nodes := zoned(30)
	nodes[3].State = ring.Down
	v := newRing(t, ring.Slots(6), nodes...).View()
	counts := map[string]int{}
	pairs, shared := 0, 0
	var before []string
	for i := range 300 {
		tenant := fmt.Sprint("tenant ", i)
		s := v.Shuffle(tenant, 6)
		require.Equal(t, s.Nodes(), v.Shuffle(tenant, 6).Nodes())
		require.Equal(t, v.Version(), s.Version())
		zones := map[string]int{}
		for _, n := range s.Nodes() {
			require.Equal(t, ring.Active, n.State)
			zones[n.Zone]++
			counts[n.ID]++
		}
		require.Equal(t, map[string]int{"zone 0": 2, "zone 1": 2, "zone 2": 2}, zones)
		owner, ok := s.Lookup("k")
		require.True(t, ok)
		require.Contains(t, s.Nodes(), owner)
		ids := idsOf(s.Nodes())
		for _, id := range ids {
			if slices.Contains(before, id) {
				shared++
			}
		}
		pairs++
		before = ids
	}
	require.Len(t, counts, 29, "each active node has tenants")
	require.Less(t, float64(shared)/float64(pairs), 1.6, "of 6, two tenants share 1.2 on average")
	for id, n := range counts {
		require.InDelta(t, 62, n, 31, id)
	}
	require.Empty(t, v.Shuffle("t", 0).Nodes())
	require.Equal(t, newRing(t, ring.Slots(6)).View().Fingerprint(), v.Shuffle("t", 0).Fingerprint())
	require.Empty(t, v.Shuffle("t", -1).Nodes())
	require.Len(t, v.Shuffle("t", 99).Nodes(), 29)
}

// A node that joins or leaves changes the set of a tenant by one at most.
func TestShuffleIsStable(t *testing.T) {
	for _, n := range []int{1, 4, 6, 7} {
		for i := range 200 {
			tenant := fmt.Sprint("tenant ", i)
			few := newRing(t, ring.Slots(2), zoned(20)...).View().Shuffle(tenant, n)
			more := newRing(t, ring.Slots(2), zoned(21)...).View().Shuffle(tenant, n)
			new := slices.DeleteFunc(idsOf(more.Nodes()), func(id string) bool { _, ok := few.Node(id); return ok })
			require.LessOrEqual(t, len(new), 1)
			if len(new) == 1 {
				require.Equal(t, zoned(21)[20].ID, new[0])
			}
		}
	}
}
