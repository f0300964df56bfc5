package ring_test

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/ring"
	"github.com/concordkit/concord/ring/ringtest"
)

func TestAcquireGivesTheOwnerWhereThereIsRoom(t *testing.T) {
	r := newRing(t, ring.Slots(10), ringtest.Nodes(10)...)
	for i := range 100 {
		owner, _ := r.Lookup(ringtest.Key(i))
		n, release, ok := r.Acquire(ringtest.Key(i))
		require.True(t, ok)
		require.Equal(t, owner, n)
		require.Equal(t, 1, r.InFlight(n.ID))
		release()
		release()
		require.Zero(t, r.InFlight(n.ID), "a second release does nothing")
	}
}

// After each acquire no node has more than its bound, and a hot key goes along its replicas.
func TestAcquireBound(t *testing.T) {
	for _, p := range placements {
		for _, bound := range []float64{1, 1.25, 2} {
			nodes := ringtest.Nodes(7)
			nodes[0].Weight, nodes[1].State = 3, ring.Leaving
			total := 8.
			r, err := ring.New(nodes, &ring.Options{Placement: p.place, Bound: bound})
			require.NoError(t, err)
			var releases []func()
			var first []string
			for i := range 200 {
				key := "hot"
				if i >= 100 {
					key = ringtest.Key(i)
				}
				n, release, ok := r.Acquire(key)
				require.True(t, ok)
				releases = append(releases, release)
				limit := math.Ceil(bound * float64(i+1) * n.Weight / total)
				require.LessOrEqual(t, float64(r.InFlight(n.ID)), limit, "%v, bound %v, request %d", p.place, bound, i)
				if key == "hot" && !slices.Contains(first, n.ID) {
					first = append(first, n.ID)
				}
			}
			require.Zero(t, r.InFlight(nodes[1].ID))
			require.Equal(t, idsOf(r.AppendReplicas(nil, "hot", len(first))), first, "%v, bound %v", p.place, bound)
			for _, release := range releases {
				release()
			}
			for _, n := range nodes {
				require.Zero(t, r.InFlight(n.ID))
			}
		}
	}
}

// 7 is ceil(1*100*7/100), though 0.07*100 is a little more than 7.
func TestAcquireBoundIsExact(t *testing.T) {
	for _, w := range []float64{7, 14, 28, 55, 56, 68} {
		nodes := []ring.Node{{ID: "a", Weight: w}, {ID: "b", Weight: 100 - w}}
		r, err := ring.New(nodes, &ring.Options{Bound: 1})
		require.NoError(t, err)
		key := ""
		for i := 0; key == ""; i++ {
			if id, _ := r.LookupID(ringtest.Key(i)); id == "a" {
				key = ringtest.Key(i)
			}
		}
		for range 100 {
			r.Acquire(key)
		}
		require.EqualValues(t, w, r.InFlight("a"))
	}
}

// What is in flight on a node that is gone does not raise the limit of the others, and counts again if it comes back.
func TestAcquireForgetsThoseThatAreGone(t *testing.T) {
	r, err := ring.New([]ring.Node{{ID: "a"}, {ID: "b"}}, &ring.Options{Bound: 1})
	require.NoError(t, err)
	held := map[string][]func(){}
	for range 100 {
		n, release, _ := r.Acquire("k")
		held[n.ID] = append(held[n.ID], release)
	}
	require.Equal(t, 50, r.InFlight("a"))
	require.Equal(t, 50, r.InFlight("b"))
	_, err = r.Update("b", func(n *ring.Node) { n.State = ring.Leaving })
	require.NoError(t, err)
	require.Equal(t, 50, r.InFlight("b"), "it finishes")
	_, err = r.Add(ring.Node{ID: "c"}, ring.Node{ID: "d"})
	require.NoError(t, err)
	for range 100 {
		_, _, ok := r.Acquire("k")
		require.True(t, ok)
	}
	for _, id := range []string{"a", "c", "d"} {
		require.Equal(t, 50, r.InFlight(id), "150 on three")
	}
	for _, release := range held["b"][:20] {
		release()
	}
	require.Equal(t, 30, r.InFlight("b"))
	_, err = r.Update("b", func(n *ring.Node) { n.State = ring.Active })
	require.NoError(t, err)
	for range 220 {
		_, _, ok := r.Acquire("k")
		require.True(t, ok)
	}
	for _, id := range []string{"a", "b", "c", "d"} {
		require.Equal(t, 100, r.InFlight(id), "400 on four")
	}
	_, err = r.Remove("a")
	require.NoError(t, err)
	require.Zero(t, r.InFlight("a"))
	for _, release := range held["a"] {
		release()
	}
	_, err = r.Add(ring.Node{ID: "a"})
	require.NoError(t, err)
	require.Zero(t, r.InFlight("a"), "a node that was removed begins anew")
}

// While several acquire at once a node may have one more for each of them, never more.
func TestAcquireBoundAtOnce(t *testing.T) {
	const workers, each, bound = 8, 500, 1.25
	nodes := ringtest.Nodes(5)
	r, err := ring.New(nodes, &ring.Options{Placement: ring.Slots(8), Bound: bound})
	require.NoError(t, err)
	var started atomic.Int64
	var work sync.WaitGroup
	for range workers {
		work.Go(func() {
			for range each {
				started.Add(1)
				n, _, _ := r.Acquire("hot")
				load := float64(r.InFlight(n.ID)) // read before the total, which only grows
				if over := load - math.Ceil(bound*float64(started.Load())/5); over > workers {
					t.Errorf("%v above the bound", over)
				}
			}
		})
	}
	work.Wait()
	for _, n := range nodes {
		require.LessOrEqual(t, r.InFlight(n.ID), int(math.Ceil(bound*workers*each/5))+workers)
	}
}

// Nothing is lost or counted twice while nodes come and go.
func TestAcquireDuringChanges(t *testing.T) {
	const workers = 8
	nodes := ringtest.Nodes(5)
	r, err := ring.New(nodes, &ring.Options{Placement: ring.Slots(8)})
	require.NoError(t, err)
	var work sync.WaitGroup
	for w := range workers {
		work.Go(func() {
			var releases []func()
			for i := range 2000 {
				_, release, ok := r.Acquire(fmt.Sprint("hot", i%2))
				if !ok {
					t.Error("no node")
					return
				}
				if releases = append(releases, release); i%(w+2) == 0 {
					for _, release := range releases {
						release()
					}
					releases = nil
				}
			}
			for _, release := range releases {
				release()
			}
		})
	}
	for i := range 300 {
		_, err := r.Update(nodes[i%4].ID, func(n *ring.Node) { n.State = ring.State(i / 4 % 2) })
		require.NoError(t, err)
		if i%5 == 4 {
			_, err = r.Set(nodes[1:])
			require.NoError(t, err)
			_, err = r.Set(nodes)
			require.NoError(t, err)
		}
	}
	work.Wait()
	_, err = r.Set(nodes)
	require.NoError(t, err)
	for _, n := range nodes {
		require.Zero(t, r.InFlight(n.ID))
	}
	// Had the total lost or kept one, the limits would be wrong now.
	for range 100 {
		_, _, ok := r.Acquire("hot")
		require.True(t, ok)
	}
	for _, n := range nodes {
		require.LessOrEqual(t, r.InFlight(n.ID), 25)
	}
}
