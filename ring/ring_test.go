package ring_test

import (
	"encoding/json"
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/ring"
	"github.com/concordkit/concord/ring/ringtest"
)

func TestEmptyRing(t *testing.T) {
	for _, p := range placements {
		for _, nodes := range [][]ring.Node{nil, {{ID: "a", State: ring.Joining}, {ID: "b", State: ring.Leaving}, {ID: "c", State: ring.Down}}} {
			r := newRing(t, p.place, nodes...)
			_, ok := r.Lookup("k")
			require.False(t, ok)
			_, ok = r.LookupBytes([]byte("k"))
			require.False(t, ok)
			_, ok = r.LookupHash(7)
			require.False(t, ok)
			id, ok := r.LookupID("k")
			require.False(t, ok)
			require.Empty(t, id)
			require.Empty(t, r.AppendReplicas(nil, "k", 3))
			for range r.Replicas("k", 3) {
				require.Fail(t, "a replica of nobody")
			}
			_, release, ok := r.Acquire("k")
			require.False(t, ok)
			release()
			require.Zero(t, r.InFlight("a"))
			require.Empty(t, r.View().Shuffle("tenant", 2).AppendReplicas(nil, "k", 1))
			require.Len(t, r.View().Nodes(), len(nodes))
		}
	}
}

func TestLookupsAgree(t *testing.T) {
	for _, p := range placements {
		r := newRing(t, p.place, ringtest.Nodes(20)...)
		v := r.View()
		for i := range 1000 {
			key := strings.Repeat(ringtest.Key(i), 1+i%9)
			n, ok := r.Lookup(key)
			require.True(t, ok)
			id, ok := r.LookupID(key)
			require.True(t, ok)
			require.Equal(t, n.ID, id)
			again := func(o ring.Node, ok bool) {
				t.Helper()
				require.True(t, ok)
				require.Equal(t, n, o)
			}
			again(r.LookupBytes([]byte(key)))
			again(r.LookupHash(v.Hash(key)))
			again(v.Lookup(key))
			again(v.LookupBytes([]byte(key)))
			again(v.LookupHash(v.Hash(key)))
			again(v.Node(id))
			for first := range r.Replicas(key, 3) {
				require.Equal(t, n, first)
				break
			}
		}
	}
}

func TestBadInput(t *testing.T) {
	long := strings.Repeat("x", ring.MaxName+1)
	ok := ring.Node{ID: "ok"}
	for _, c := range []struct {
		says  string
		nodes []ring.Node
		o     ring.Options
	}{
		{`two nodes have the ID "ok"`, []ring.Node{ok, {ID: "b"}, ok}, ring.Options{}},
		{`node at "10.0.0.1" has no ID`, []ring.Node{{Addr: "10.0.0.1"}}, ring.Options{}},
		{"has 257 bytes: want at most 256", []ring.Node{{ID: long}}, ring.Options{}},
		{"is not UTF-8", []ring.Node{{ID: "a\xff"}}, ring.Options{}},
		{`zone of node "a" has 257 bytes`, []ring.Node{{ID: "a", Zone: long}}, ring.Options{}},
		{`of node "a" is not UTF-8`, []ring.Node{{ID: "a", Zone: "\xff"}}, ring.Options{}},
		{`weight -1 of node "a": want 0.001 to 10000`, []ring.Node{{ID: "a", Weight: -1}}, ring.Options{}},
		{"weight NaN", []ring.Node{{ID: "a", Weight: math.NaN()}}, ring.Options{}},
		{"weight +Inf", []ring.Node{{ID: "a", Weight: math.Inf(1)}}, ring.Options{}},
		{"weight -Inf", []ring.Node{{ID: "a", Weight: math.Inf(-1)}}, ring.Options{}},
		{"weight 1e+300", []ring.Node{{ID: "a", Weight: 1e300}}, ring.Options{}},
		{"weight 1e-05", []ring.Node{{ID: "a", Weight: 1e-5}}, ring.Options{}},
		{`state 4 of node "a": want 0 to 3`, []ring.Node{{ID: "a", State: 4}}, ring.Options{}},
		{"65536 nodes: want at most 65535", make([]ring.Node, 65536), ring.Options{}},
		{"Slots(40): want 1 to 20 bits", nil, ring.Options{Placement: ring.Slots(40)}},
		{"Slots(0): want 1 to 20 bits", nil, ring.Options{Placement: ring.Slots(0)}},
		{"Slots(-3): want", nil, ring.Options{Placement: ring.Slots(-3)}},
		{"VNodes(0): want 1 to 10000 points", nil, ring.Options{Placement: ring.VNodes(0)}},
		{"VNodes(1000000): want", nil, ring.Options{Placement: ring.VNodes(1_000_000)}},
		{"100000000 points for VNodes(10000) and these weights: want at most 16777216",
			[]ring.Node{{ID: "a", Weight: 10_000}}, ring.Options{Placement: ring.VNodes(10_000)}},
		{"VNodes(9).MaxLoad(1.1): only Slots can be limited", nil, ring.Options{Placement: ring.VNodes(9).MaxLoad(1.1)}},
		{"Ketama().MaxLoad(1.1): only Slots", nil, ring.Options{Placement: ring.Ketama().MaxLoad(1.1)}},
		{"Slots(16).MaxLoad(0.9): want a limit of 1 to 1000", nil, ring.Options{Placement: ring.Slots(16).MaxLoad(0.9)}},
		{"MaxLoad(NaN)", nil, ring.Options{Placement: ring.Slots(16).MaxLoad(math.NaN())}},
		{"MaxLoad(+Inf)", nil, ring.Options{Placement: ring.Slots(16).MaxLoad(math.Inf(1))}},
		{"MaxLoad(-1)", nil, ring.Options{Placement: ring.Slots(16).MaxLoad(-1)}},
		{`weight 1.5 of node "a": Ketama takes whole numbers only`,
			[]ring.Node{{ID: "a", Weight: 1.5}}, ring.Options{Placement: ring.Ketama()}},
		{`weight 0.5 of node "a": Ketama takes whole numbers only`,
			[]ring.Node{{ID: "a", Weight: 0.5, State: ring.Joining}}, ring.Options{Placement: ring.Ketama()}},
		{"4300000000 points for VNodes(10000)", heavy(43), ring.Options{Placement: ring.VNodes(10_000)}},
		{"bound 0.5: want 1 to 1000", nil, ring.Options{Bound: 0.5}},
		{"bound -1: want", nil, ring.Options{Bound: -1}},
		{"bound NaN", nil, ring.Options{Bound: math.NaN()}},
		{"bound +Inf", nil, ring.Options{Bound: math.Inf(1)}},
	} {
		r, err := ring.New(c.nodes, &c.o)
		require.ErrorIs(t, err, ring.ErrInvalid, "%s", c.says)
		require.ErrorContains(t, err, c.says)
		require.Nil(t, r)
		if c.o == (ring.Options{}) {
			r := newRing(t, ring.Slots(8), ring.Node{ID: "before"})
			before := r.View()
			_, err := r.Set(c.nodes)
			require.ErrorContains(t, err, c.says)
			_, err = r.Add(c.nodes...)
			require.ErrorIs(t, err, ring.ErrInvalid)
			require.Same(t, before, r.View(), "a refused change changes nothing")
		}
	}
}

// heavy returns n nodes of the largest weight.
func heavy(n int) []ring.Node {
	nodes := ringtest.Nodes(n)
	for i := range nodes {
		nodes[i].Weight = ring.MaxWeight
	}
	return nodes
}

func TestBadChanges(t *testing.T) {
	r := newRing(t, ring.Slots(8), ring.Node{ID: "a"}, ring.Node{ID: "b"})
	before := r.View()
	_, err := r.Add(ring.Node{ID: "c"}, ring.Node{ID: "a"})
	require.ErrorContains(t, err, `node "a" is a member already`)
	_, err = r.Update("x", func(*ring.Node) {})
	require.ErrorContains(t, err, `node "x" is not a member`)
	_, err = r.Update("a", func(n *ring.Node) { n.ID = "b" })
	require.ErrorContains(t, err, `edit changed the ID "a" to "b"`)
	_, err = r.Update("a", func(n *ring.Node) { n.Weight = -1 })
	require.ErrorContains(t, err, "weight -1")
	_, err = r.Update("a", nil)
	require.ErrorContains(t, err, `nil edit of node "a"`)
	_, err = r.Remove("a", "a")
	require.ErrorContains(t, err, `node "a" is not a member`)
	_, err = r.Remove("x")
	require.ErrorIs(t, err, ring.ErrInvalid)
	require.Same(t, before, r.View())
	c, err := r.Remove("b", "a")
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, idsOf(c.Removed))
}

// What the caller does to its own slices and maps afterwards does not reach the ring.
func TestViewsDoNotChange(t *testing.T) {
	nodes := []ring.Node{{ID: "a", Meta: map[string]string{"k": "v"}}, {ID: "b"}}
	r := newRing(t, ring.Slots(8), nodes...)
	nodes[0].Meta["k"] = "changed"
	nodes[0].ID, nodes[1].ID = "x", "y"
	r.View().Nodes()[1] = ring.Node{}
	n, ok := r.View().Node("a")
	require.True(t, ok)
	require.Equal(t, "v", n.Meta["k"])
	_, ok = r.View().Node("b")
	require.True(t, ok)

	before := r.View()
	owner, _ := before.Lookup("k")
	_, err := r.Set([]ring.Node{{ID: "c"}})
	require.NoError(t, err)
	again, _ := before.Lookup("k")
	require.Equal(t, owner, again)
}

func TestStates(t *testing.T) {
	r := newRing(t, ring.Slots(8), ring.Node{ID: "a"}, ring.Node{ID: "b"})
	for _, s := range []ring.State{ring.Joining, ring.Leaving, ring.Down} {
		_, err := r.Update("b", func(n *ring.Node) { n.State = s })
		require.NoError(t, err)
		require.Equal(t, 1., r.View().Share("a"), "%v nodes own nothing", s)
		require.Len(t, r.AppendReplicas(nil, "k", 2), 1)
	}
	for s := ring.Active; s <= ring.Down; s++ {
		b, err := json.Marshal(map[ring.State]ring.State{s: s})
		require.NoError(t, err)
		back := map[ring.State]ring.State{}
		require.NoError(t, json.Unmarshal(b, &back))
		require.Equal(t, map[ring.State]ring.State{s: s}, back)
	}
	_, err := json.Marshal(ring.State(4))
	require.ErrorContains(t, err, "state 4: want 0 to 3")
	require.Equal(t, "State(4)", ring.State(4).String())
	var s ring.State
	require.ErrorContains(t, s.UnmarshalText([]byte("asleep")), `state "asleep": want active, joining, leaving or down`)
}

// An edit that others overtake runs again: no change is lost.
func TestUpdatesOfOneNodeAtOnce(t *testing.T) {
	r := newRing(t, ring.Slots(8), ring.Node{ID: "a"})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				if _, err := r.Update("a", func(n *ring.Node) { n.Weight++ }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 201, mustNode(t, r, "a").Weight)
	require.EqualValues(t, 201, r.View().Version())
}

// Zones that are very unequal, or named for some nodes only, still give what there is.
func TestZoneSkew(t *testing.T) {
	for _, p := range placements {
		nodes := ringtest.Nodes(100)
		for i := range nodes {
			nodes[i].Zone = "large"
		}
		nodes[17].Zone, nodes[18].Zone = "small", ""
		r := newRing(t, p.place, nodes...)
		for i := range 200 {
			replicas := r.AppendReplicas(nil, ringtest.Key(i), 5)
			require.Len(t, replicas, 5)
			zones := map[string]bool{}
			for _, n := range replicas[:3] {
				zones[n.Zone] = true
			}
			require.Len(t, zones, 3, "each zone has a replica before any has two")
		}
	}
}

func TestNothingIsAllocated(t *testing.T) {
	for _, p := range placements {
		r := newRing(t, p.place, ringtest.Nodes(30)...)
		key, bytes, dst := "a key that is longer than thirty-two bytes", []byte("key"), make([]ring.Node, 0, 16)
		r.AppendReplicas(dst, key, 3)
		for what, f := range map[string]func(){
			"Lookup":            func() { r.Lookup(key) },
			"LookupBytes":       func() { r.LookupBytes(bytes) },
			"LookupID":          func() { r.LookupID(key) },
			"LookupHash":        func() { r.LookupHash(7) },
			"AppendReplicas(3)": func() { r.AppendReplicas(dst, key, 3) },
		} {
			if n := testing.AllocsPerRun(1000, f); n > 0 && !raceDetector { // which drops what is given to a sync.Pool
				require.Zero(t, n, "%s on %v", what, p.place)
			}
		}
	}
}

// Lookups go on while the ring changes, and each sees one whole state.
func TestLookupsDuringChanges(t *testing.T) {
	for _, p := range placements {
		r := newRing(t, p.place, ring.Node{ID: "a", Addr: "0"}, ring.Node{ID: "b", Addr: "0"})
		var stop atomic.Bool
		var lookups sync.WaitGroup
		for range 4 {
			lookups.Go(func() {
				dst := make([]ring.Node, 0, 8)
				for !stop.Load() {
					dst = r.AppendReplicas(dst[:0], "key", 3)
					for _, n := range dst {
						if n.Addr != dst[0].Addr {
							t.Errorf("nodes of two states: %v", dst)
							return
						}
					}
					_, release, ok := r.Acquire("key")
					if !ok {
						t.Error("no node")
					}
					release()
					runtime.Gosched()
				}
			})
		}
		for i := range 200 {
			addr := string(rune('1' + i%9))
			nodes := []ring.Node{{ID: "a", Addr: addr}, {ID: "b", Addr: addr}, {ID: "c", Addr: addr}, {ID: "d", Addr: addr}}
			_, err := r.Set(nodes[:2+i%3])
			require.NoError(t, err)
		}
		stop.Store(true)
		lookups.Wait()
		for _, n := range r.View().Nodes() {
			require.Zero(t, r.InFlight(n.ID))
		}
	}
}
