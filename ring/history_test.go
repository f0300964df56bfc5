package ring_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/ring"
	"github.com/concordkit/concord/ring/ringtest"
)

// placements are the ones that the properties are tested on; exact says that no key moves between two that stay.
var placements = []struct {
	place ring.Placement
	exact bool
}{
	{ring.Slots(9), true},
	{ring.VNodes(40), true},
	{ring.Slots(9).MaxLoad(1.05), false},
	{ring.Ketama(), false},
}

// same requires that two views place alike: no hash has different owners.
func same(t *testing.T, a, b *ring.View) {
	t.Helper()
	require.Equal(t, a.Fingerprint(), b.Fingerprint())
	moves, err := ring.Diff(a, b)
	require.NoError(t, err)
	for m := range moves {
		require.Fail(t, "the tables differ", "%+v", m)
	}
	for i := range 50 {
		key := ringtest.Key(i)
		require.Equal(t, a.AppendReplicas(nil, key, 3), b.AppendReplicas(nil, key, 3))
		require.Equal(t, a.AppendReplicas(nil, key, 7), b.AppendReplicas(nil, key, 7))
	}
}

// step changes r at random in some way that is allowed.
func step(t *testing.T, random *rand.Rand, r *ring.Ring, serial int) {
	t.Helper()
	members := r.View().Nodes()
	whole := r.View().Placement() == ring.Ketama()
	vary := func(n ring.Node) ring.Node {
		n.Weight = []float64{0, 1, 2, 0.5, 30}[random.IntN(5)]
		if whole {
			n.Weight = float64(random.IntN(4))
		}
		n.Zone = fmt.Sprint(random.IntN(3))
		n.State = ring.State(max(0, random.IntN(8)-4))
		n.Addr = fmt.Sprint(serial)
		return n
	}
	var err error
	switch k := random.IntN(4); {
	case k == 0 || len(members) == 0:
		_, err = r.Add(vary(ring.Node{ID: fmt.Sprint("b", serial)}), vary(ring.Node{ID: fmt.Sprint("a", serial)}))
	case k == 1:
		_, err = r.Remove(members[random.IntN(len(members))].ID)
	case k == 2:
		_, err = r.Update(members[random.IntN(len(members))].ID, func(n *ring.Node) { *n = vary(*n) })
	default:
		for i := range members {
			if random.IntN(3) == 0 {
				members[i] = vary(members[i])
			}
		}
		members = slices.Delete(members, 0, random.IntN(2))
		members = append(members, vary(ring.Node{ID: fmt.Sprint("c", serial)}))
		random.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
		_, err = r.Set(members)
	}
	require.NoError(t, err)
}

func TestNoHistoryShows(t *testing.T) {
	for _, p := range placements {
		t.Run(p.place.String(), func(t *testing.T) {
			for seed := range uint64(8) {
				random := seeded(t, seed)
				r := newRing(t, p.place)
				for serial := range 30 {
					step(t, random, r, serial)
					nodes := r.View().Nodes()
					random.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
					same(t, newRing(t, p.place, nodes...).View(), r.View())
				}
			}
		})
	}
}

// Of the whole space of hashes only what has to move does.
func TestOnlyWhatMustMoves(t *testing.T) {
	for _, p := range placements {
		if !p.exact {
			continue
		}
		t.Run(p.place.String(), func(t *testing.T) {
			for seed := range uint64(20) {
				random := seeded(t, seed)
				r := newRing(t, p.place, randomNodes(random, 12)...)
				for serial := range 20 {
					before := r.View()
					step(t, random, r, serial)
					moves, err := ring.Diff(before, r.View())
					require.NoError(t, err)
					for m := range moves {
						was, is := owning(before, m.From), owning(r.View(), m.From)
						had, has := owning(before, m.To), owning(r.View(), m.To)
						require.True(t, is < was || has > had,
							"%+v, although %q weighs %v after %v and %q %v after %v", m, m.From, is, was, m.To, has, had)
					}
				}
			}
		})
	}
}

// owning returns what a node weighs for the placement.
func owning(v *ring.View, id string) float64 {
	if n, ok := v.Node(id); ok && n.State == ring.Active {
		return n.Weight
	}
	return 0
}

func TestChangesOfOtherThingsMoveNothing(t *testing.T) {
	for _, p := range placements {
		r := newRing(t, p.place, ring.Node{ID: "a", Zone: "x"}, ring.Node{ID: "b", State: ring.Joining}, ring.Node{ID: "c"})
		before := r.View()
		c, err := r.Set([]ring.Node{
			{ID: "a", Zone: "x", Addr: "elsewhere", Meta: map[string]string{"k": "v"}},
			{ID: "b", State: ring.Down},
			{ID: "c"},
		})
		require.NoError(t, err)
		require.Equal(t, []string{"a", "b"}, idsOf(c.Changed))
		for m := range c.Moves() {
			require.Fail(t, "moved", "%+v", m)
		}
		require.Equal(t, before.Fingerprint(), c.Fingerprint)
		require.Equal(t, before.Version()+1, c.Version)
		n, _ := r.Lookup("k")
		require.Equal(t, mustNode(t, r, n.ID), n)

		c, err = r.Update("a", func(n *ring.Node) { n.Zone = "y" })
		require.NoError(t, err)
		require.NotEqual(t, before.Fingerprint(), c.Fingerprint, "a zone decides about replicas")
	}
}

func mustNode(t *testing.T, r *ring.Ring, id string) ring.Node {
	t.Helper()
	n, ok := r.View().Node(id)
	require.True(t, ok)
	return n
}
