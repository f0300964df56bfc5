package ring_test

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/ring"
	"github.com/concordkit/concord/ring/ringtest"
)

func TestChangeTellsWhatDiffers(t *testing.T) {
	r := newRing(t, ring.Slots(8), ring.Node{ID: "a"}, ring.Node{ID: "b"}, ring.Node{ID: "c"})
	require.EqualValues(t, 1, r.View().Version())
	c, err := r.Set([]ring.Node{{ID: "d"}, {ID: "b", Weight: 2}, {ID: "a"}})
	require.NoError(t, err)
	require.Equal(t, []string{"d"}, idsOf(c.Added))
	require.Equal(t, []string{"c"}, idsOf(c.Removed))
	require.Equal(t, []ring.Node{{ID: "b", Weight: 2}}, c.Changed)
	require.EqualValues(t, 2, c.Version)
	require.Same(t, r.View(), c.New)
	require.Equal(t, c.New.Fingerprint(), c.Fingerprint)

	c, err = r.Set([]ring.Node{{ID: "a", Weight: 1}, {ID: "b", Weight: 2}, {ID: "d"}})
	require.NoError(t, err)
	require.Empty(t, slices.Concat(c.Added, c.Removed, c.Changed), "the same set, weight 0 being 1")
	require.EqualValues(t, 2, c.Version, "nothing was changed")
	require.Empty(t, slices.Collect(c.Moves()))
	require.Empty(t, slices.Collect(ring.Change{}.Moves()))
}

// Moves take every key from its owner before to its owner after, and leave the others.
func TestMovesAreWhatLookupsSee(t *testing.T) {
	for _, p := range placements {
		for seed := range uint64(10) {
			random := seeded(t, seed)
			r := newRing(t, p.place)
			for serial := range 12 {
				before := r.View()
				step(t, random, r, serial)
				requireMoves(t, before, r.View(), func() uint64 { return random.Uint64() })
			}
		}
	}
	// Between placements that have nothing in common but the hash.
	a, b := newRing(t, ring.Slots(5), ringtest.Nodes(4)...).View(), newRing(t, ring.VNodes(7), ringtest.Nodes(9)[2:]...).View()
	random := seeded(t, 0)
	requireMoves(t, a, b, random.Uint64)
	requireMoves(t, newRing(t, ring.Slots(3), ringtest.Nodes(4)...).View(), a, random.Uint64)
}

func requireMoves(t *testing.T, before, after *ring.View, hash func() uint64) {
	t.Helper()
	moves, err := ring.Diff(before, after)
	require.NoError(t, err)
	all := slices.Collect(moves)
	hashes := []uint64{0, math.MaxUint64}
	for i, m := range all {
		require.LessOrEqual(t, m.Lo, m.Hi)
		require.NotEqual(t, m.From, m.To)
		if i > 0 {
			require.Greater(t, m.Lo, all[i-1].Hi, "in order, none twice")
			require.False(t, m.Lo == all[i-1].Hi+1 && m.From == all[i-1].From && m.To == all[i-1].To, "neighbours are one")
		}
		hashes = append(hashes, m.Lo, m.Lo-1, m.Hi, m.Hi+1)
	}
	for range 200 {
		hashes = append(hashes, hash())
	}
	for _, h := range hashes {
		from, _ := before.LookupHash(h)
		to, _ := after.LookupHash(h)
		i, ok := slices.BinarySearchFunc(all, h, func(m ring.Move, h uint64) int {
			switch {
			case m.Hi < h:
				return -1
			case m.Lo > h:
				return 1
			}
			return 0
		})
		if !ok {
			require.Equal(t, from.ID, to.ID, "hash %x moves unsaid", h)
			continue
		}
		require.Equal(t, all[i], ring.Move{Lo: all[i].Lo, Hi: all[i].Hi, From: from.ID, To: to.ID})
	}
}

func TestDiffStops(t *testing.T) {
	r := newRing(t, ring.Slots(8), ringtest.Nodes(3)...)
	c, err := r.Add(ring.Node{ID: "x"})
	require.NoError(t, err)
	n := 0
	for range c.Moves() {
		if n++; n == 3 {
			break
		}
	}
	require.Equal(t, 3, n)
}

func TestDiffOfWhatCannotBeCompared(t *testing.T) {
	a := newRing(t, ring.Slots(8), ringtest.Nodes(3)...).View()
	_, err := ring.Diff(a, newRing(t, ring.Ketama()).View())
	require.ErrorIs(t, err, ring.ErrInvalid)
	require.ErrorContains(t, err, "diff of Slots(8) and Ketama()")
	_, err = ring.Diff(nil, a)
	require.ErrorIs(t, err, ring.ErrInvalid)
	_, err = ring.Diff(a, nil)
	require.ErrorIs(t, err, ring.ErrInvalid)
}

func TestRangesAndShares(t *testing.T) {
	for _, p := range placements {
		v := newRing(t, p.place, append(ringtest.Nodes(5), ring.Node{ID: "joins", State: ring.Joining})...).View()
		var sum float64
		for _, n := range v.Nodes() {
			for m := range v.Ranges(n.ID) {
				require.Equal(t, n.ID, m.To)
				require.Empty(t, m.From)
				owner, _ := v.LookupHash(m.Hi)
				require.Equal(t, n.ID, owner.ID)
			}
			sum += v.Share(n.ID)
		}
		require.InDelta(t, 1, sum, 1e-9)
		n := 0
		for node, share := range v.Shares() {
			require.Equal(t, v.Share(node.ID), share)
			n++
		}
		require.Equal(t, 5, n, "only active nodes")
		require.Zero(t, v.Share("joins"))
		require.Zero(t, v.Share("unknown"))
		require.Empty(t, slices.Collect(v.Ranges("unknown")))
	}
	one := newRing(t, ring.VNodes(3), ring.Node{ID: "a"}).View()
	require.Equal(t, []ring.Move{{Hi: math.MaxUint64, To: "a"}}, slices.Collect(one.Ranges("a")))
}
