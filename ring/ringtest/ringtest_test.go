package ringtest_test

import (
	"errors"
	"hash/fnv"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/ring"
	"github.com/concordkit/concord/ring/ringtest"
)

func TestRun(t *testing.T) {
	ringtest.Run(t, ringtest.Of(nil), &ringtest.Options{Max: 1.05, Moved: 1.15})
}

func hash(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return h.Sum64()
}

func modulo(nodes []ring.Node) (func(string) string, error) {
	sorted := slices.SortedFunc(slices.Values(nodes), func(a, b ring.Node) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return func(key string) string { return sorted[hash(key)%uint64(len(sorted))].ID }, nil
}

// Each promise has a placement that breaks it, or the checks would prove nothing.
func TestCheckFindsWhatIsBroken(t *testing.T) {
	few := &ringtest.Options{Keys: 10_000}
	err := ringtest.Check(modulo, few)
	require.ErrorContains(t, err, "join: ")
	require.ErrorContains(t, err, "leave: ")
	require.ErrorContains(t, err, "times the least possible")
	require.ErrorContains(t, err, "move between nodes that stay")
	require.NotContains(t, err.Error(), "fullest")
	require.NotContains(t, err.Error(), "in order")

	byOrder := func(nodes []ring.Node) (func(string) string, error) {
		return func(key string) string { return nodes[hash(key)%uint64(len(nodes))].ID }, nil
	}
	require.ErrorContains(t, ringtest.Check(byOrder, few), "in order 1")

	// A map of the point to the node: the last of two nodes whose points collide has them all.
	naive := func(nodes []ring.Node) (func(string) string, error) {
		points := map[string]string{}
		for _, n := range nodes {
			points["1"+n.ID], points["11"+n.ID] = n.ID, n.ID
		}
		return func(key string) string {
			best, owner := uint64(0), ""
			for point, id := range points {
				if h := hash(point + key); h >= best {
					best, owner = h, id
				}
			}
			return owner
		}, nil
	}
	require.ErrorContains(t, ringtest.Check(naive, &ringtest.Options{Keys: 1000, Max: 2, Moved: 2}), "of 3 nodes belongs to")

	first := func(nodes []ring.Node) (func(string) string, error) {
		least := slices.MinFunc(nodes, func(a, b ring.Node) int {
			if a.ID < b.ID {
				return -1
			}
			return 1
		})
		return func(string) string { return least.ID }, nil
	}
	require.ErrorContains(t, ringtest.Check(first, few), "the fullest of 11 nodes has 11.000 times its share")

	stranger := func([]ring.Node) (func(string) string, error) {
		return func(string) string { return "x" }, nil
	}
	require.ErrorContains(t, ringtest.Check(stranger, few), `the owner "x", which is none of the 1 nodes`)

	broken := errors.New("broken")
	require.ErrorIs(t, ringtest.Check(func([]ring.Node) (func(string) string, error) { return nil, broken }, nil), broken)
}

func TestMeasures(t *testing.T) {
	nodes := []ring.Node{{ID: "a"}, {ID: "b", Weight: 3}}
	alternate := func([]ring.Node) (func(string) string, error) {
		i := 0
		return func(string) string { i++; return nodes[i%2].ID }, nil
	}
	b, err := ringtest.MeasureBalance(alternate, nodes, 1000)
	require.NoError(t, err)
	require.InDelta(t, 2, b.Max, 1e-9, "a has a half where its share is a quarter")
	require.InDelta(t, 2./3, b.Min, 1e-9)

	m, err := ringtest.MeasureMovement(modulo, ringtest.Nodes(4), ringtest.Nodes(5), 100_000)
	require.NoError(t, err)
	require.InDelta(t, 0.8, m.Moved, 0.01)
	require.InDelta(t, 0.2, m.Least, 1e-9)
	require.InDelta(t, 0.6, m.Astray, 0.01)
}
