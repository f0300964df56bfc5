package ring_test

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/ring"
	"github.com/concordkit/concord/ring/ringtest"
)

func newRing(t testing.TB, p ring.Placement, nodes ...ring.Node) *ring.Ring {
	t.Helper()
	r, err := ring.New(nodes, &ring.Options{Placement: p})
	require.NoError(t, err)
	return r
}

// Figures of more nodes, and beside other libraries, are in internal/benchmarks.
func TestPlacements(t *testing.T) {
	for _, c := range []struct {
		place ring.Placement
		o     ringtest.Options
	}{
		{ring.Slots(16), ringtest.Options{Max: 1.05, Moved: 1.15}},
		{ring.Slots(16), ringtest.Options{Nodes: 100, Max: 1.17, Moved: 1.15}},
		{ring.Slots(10), ringtest.Options{Nodes: 4}},
		{ring.Slots(16).MaxLoad(1.01), ringtest.Options{Nodes: 100, Max: 1.10, Moved: 2, Astray: 0.015}},
		{ring.VNodes(160), ringtest.Options{Max: 1.3, Moved: 1.3}},
		{ring.VNodes(1000), ringtest.Options{Max: 1.1, Moved: 1.15}},
		{ring.Ketama(), ringtest.Options{Max: 1.3, Moved: 1.3, Astray: 0}},
	} {
		t.Run(c.place.String(), func(t *testing.T) {
			t.Parallel()
			ringtest.Run(t, ringtest.Of(&ring.Options{Placement: c.place}), &c.o)
		})
	}
}

func TestWeights(t *testing.T) {
	nodes := ringtest.Nodes(20)
	for i := range nodes {
		nodes[i].Weight = float64(1 + i%5*2)
	}
	for place, most := range map[ring.Placement]float64{
		ring.Slots(16): 1.05, ring.VNodes(500): 1.15, ring.Ketama(): 1.4, ring.Slots(16).MaxLoad(1): 1.03,
	} {
		b, err := ringtest.MeasureBalance(ringtest.Of(&ring.Options{Placement: place}), nodes, 200_000)
		require.NoError(t, err)
		require.Less(t, b.Max, most, "%v: %+v", place, b)
		require.Greater(t, b.Min, 2-most-0.05, "%v: %+v", place, b)
	}
}

// Shares of extreme weights are right as well: fixed-point numbers lose nothing that one would see.
func TestExtremeWeights(t *testing.T) {
	r := newRing(t, ring.Slots(20), ring.Node{ID: "a", Weight: ring.MinWeight}, ring.Node{ID: "b", Weight: 1},
		ring.Node{ID: "c", Weight: ring.MaxWeight})
	require.InDelta(t, 1./10_001, r.View().Share("b"), 3e-5)
	require.Less(t, r.View().Share("a"), 1e-5)
	r = newRing(t, ring.Slots(16), ring.Node{ID: "a", Weight: ring.MinWeight}, ring.Node{ID: "b", Weight: 2 * ring.MinWeight})
	require.InDelta(t, 1./3, r.View().Share("a"), 0.01)
	r = newRing(t, ring.Slots(16), ring.Node{ID: "a", Weight: ring.MaxWeight}, ring.Node{ID: "b", Weight: ring.MaxWeight / 2})
	require.InDelta(t, 2./3, r.View().Share("a"), 0.01)
}

func TestMaxLoad(t *testing.T) {
	for _, n := range []int{1, 2, 7, 300} {
		for _, c := range []float64{1, 1.1, 2} {
			nodes := ringtest.Nodes(n)
			v := newRing(t, ring.Slots(10).MaxLoad(c), nodes...).View()
			share := 1024 / float64(n)
			most := max(float64(int(c*share)), float64(int(share+1-1e-9)))
			for _, node := range nodes {
				require.LessOrEqual(t, v.Share(node.ID)*1024, most, "of %d nodes, %v", n, v.Placement())
			}
		}
	}
}

// Quotas are right where shares and limits are round numbers, which in binary they are not.
func TestMaxLoadIsExact(t *testing.T) {
	nodes := []ring.Node{{ID: "b", Weight: 1014}}
	most := 0.
	for i := range 400 { // some of them would win more than 11 of 1024 slots
		nodes := append(nodes, ring.Node{ID: fmt.Sprint("a", i), Weight: 10})
		has := newRing(t, ring.Slots(10).MaxLoad(1.1), nodes...).View().Share(nodes[1].ID) * 1024
		require.LessOrEqual(t, has, 11.)
		most = max(most, has)
	}
	require.Equal(t, 11., most, "1.1 times 10 is 11")
	for i := range 50 {
		v := newRing(t, ring.Slots(2).MaxLoad(1), ring.Node{ID: fmt.Sprint("a", i), Weight: 0.1}, ring.Node{ID: "b", Weight: 0.3}).View()
		require.Equal(t, 0.75, v.Share("b"), "3 of 4 slots")
	}
}

// A node that libmemcached gives no points owns nothing, but is a replica when all others are.
func TestKetamaWithoutPoints(t *testing.T) {
	r := newRing(t, ring.Ketama(), ring.Node{ID: "a", Weight: 10_000}, ring.Node{ID: "b"}, ring.Node{ID: "c"})
	require.Zero(t, r.View().Share("b"))
	require.Equal(t, []string{"a", "b", "c"}, idsOf(r.AppendReplicas(nil, "k", 3)))
}

// More nodes than slots is no error: some own nothing.
func TestMoreNodesThanSlots(t *testing.T) {
	for _, p := range []ring.Placement{ring.Slots(3), ring.Slots(3).MaxLoad(1)} {
		v := newRing(t, p, ringtest.Nodes(100)...).View()
		var sum float64
		for _, n := range v.Nodes() {
			sum += v.Share(n.ID)
		}
		require.InDelta(t, 1, sum, 1e-9)
		require.Len(t, v.AppendReplicas(nil, "k", 100), 100, "a node without slots can be a replica")
	}
}

// testdata/ketama.txt was written by libmemcached itself.
func TestKetamaIsThatOfLibmemcached(t *testing.T) {
	f, err := os.Open("testdata/ketama.txt")
	require.NoError(t, err)
	defer f.Close()
	var nodes []ring.Node
	var r *ring.Ring
	sets, keys := 0, 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		what, rest, _ := strings.Cut(lines.Text(), " ")
		a, b, _ := strings.Cut(rest, " ")
		switch what {
		case "set":
			sets++
			nodes, r = nil, nil
		case "node":
			weight, err := strconv.ParseFloat(b, 64)
			require.NoError(t, err)
			nodes = append(nodes, ring.Node{ID: a, Weight: weight})
		case "key":
			keys++
			if r == nil {
				r = newRing(t, ring.Ketama(), nodes...)
			}
			id, ok := r.LookupID(a)
			require.True(t, ok)
			require.Equal(t, b, id, "key %q in set %d of %d nodes", a, sets, len(nodes))
		}
	}
	require.Equal(t, 11, sets)
	require.Equal(t, 2200, keys)
}

func TestPlacementStrings(t *testing.T) {
	require.Equal(t, "Slots(16)", ring.Placement{}.String())
	require.Equal(t, "Slots(12).MaxLoad(1.1)", ring.Slots(12).MaxLoad(1.1).String())
	require.Equal(t, "Slots(16).MaxLoad(2)", ring.Placement{}.MaxLoad(2).String())
	require.Equal(t, "VNodes(160)", ring.VNodes(160).String())
	require.Equal(t, "Ketama()", ring.Ketama().String())
}
