package ringbench

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
	"github.com/concordkit/concord/ring"
	"github.com/concordkit/concord/ring/ringtest"
)

func libraries() []library {
	return slices.Concat(ourLibraries, peerLibraries, []library{concordIDs(slots), serialxMD5})
}

// Every library must place keys on all its nodes and find them again, or its numbers mean nothing.
func TestEveryLibraryPlacesKeys(t *testing.T) {
	ids := servers(few)
	for _, l := range libraries() {
		a, err := l.open(ids)
		require.NoError(t, err, l.name)
		b, err := l.open(ids)
		require.NoError(t, err, l.name)
		found := map[string]int{}
		for _, key := range keys {
			id := a.owner(key)
			require.Equal(t, id, b.owner(key), "%s: two with the same nodes disagree", l.name)
			found[id]++
		}
		require.Len(t, found, few, l.name)
		for _, id := range ids {
			require.Positive(t, found[id], "%s: %s has nothing", l.name, id)
		}
	}
}

// What the loops do must be the lookups that are checked.
func TestLoopsLookUp(t *testing.T) {
	for _, l := range libraries() {
		f, err := l.open([]string{"four"})
		require.NoError(t, err, l.name)
		before := sink.Load()
		require.NoError(t, loop(f)(3), l.name)
		require.EqualValues(t, 3*len("four"), sink.Load()-before, l.name)
	}
}

func TestKeysGoRoundInAnotherOrder(t *testing.T) {
	seen := map[string]int{}
	same := 0
	for i := range keyCount {
		seen[key(i)]++
		seen[key(i+keyCount)]++
		if key(i) == key(i+keyCount) {
			same++
		}
	}
	require.Len(t, seen, keyCount, "each round has all keys")
	require.Zero(t, same, "no key is where it was")
}

func TestDskitTakesTheFirstTokenAfterTheKey(t *testing.T) {
	r := &partitionRing{
		tokens: []uint32{10, 20, 30}, partitions: []int32{0, 1, 2}, active: []bool{true, false, true}, ids: []string{"a", "b", "c"},
	}
	for key, want := range map[uint32]int32{9: 0, 10: 2, 19: 2, 29: 2, 30: 0, 31: 0} {
		require.Equal(t, want, r.partition(key), "key %d", key)
	}
}

// Both sides of churn must answer for the nodes that are there.
func TestShiftingSetsChange(t *testing.T) {
	ids := servers(few)
	for name, open := range map[string]func([]string) (shifting, error){
		"slots": shiftingRing(slots), "groupcache": newLockedGroupcache, "serialx": newSwappedSerialx,
	} {
		s, err := open(ids)
		require.NoError(t, err)
		for _, joined := range []bool{true, false, true} {
			require.NoError(t, s.change())
			found := map[string]bool{}
			for _, key := range keys {
				found[s.owner(key)] = true
			}
			require.Equal(t, joined, found[newcomer], name)
		}
	}
}

func TestMeasureFindsABadPlacement(t *testing.T) {
	// The first node has half of the keys, and a change moves nearly all of the others.
	skewed := func(nodes []ring.Node) (func(string) string, error) {
		even := jumpList(idsOf(nodes))
		return func(key string) string {
			if key[len(key)-1]%2 == 0 {
				return even[0]
			}
			return even[(len(key)+int(key[len(key)-1])+len(even))%len(even)]
		}, nil
	}
	s := Spread{Nodes: few}
	require.NoError(t, s.measure(skewed, 10_000))
	require.Greater(t, s.Max, 4.0)
	require.Positive(t, s.astray())
	s.Name = slots.String()
	require.True(t, balanceGoals([]Spread{s})[0].Short())
	require.True(t, astrayGoal([]Spread{s}, slots, ratio.AtMost(0, "")).Short())

	fails := errors.New("fails")
	none := func([]ring.Node) (func(string) string, error) { return nil, fails }
	require.ErrorIs(t, s.measure(none, 1), fails)
}

func TestMostShare(t *testing.T) {
	most, err := mostShare(ring.Slots(4), 16)
	require.NoError(t, err)
	require.Greater(t, most, 1.0, "16 slots do not fall on 16 nodes")
	most, err = mostShare(ring.Slots(4).MaxLoad(1), 16)
	require.NoError(t, err)
	require.Equal(t, 1.0, most)
}

func TestPlotIsXML(t *testing.T) {
	var b bytes.Buffer
	far := ringtest.Balance{Max: 7.25}
	require.NoError(t, Plot(&b, []Spread{{Name: "a<b", Nodes: 10, Balance: far, Join: ringtest.Movement{Moved: 1, Least: 2}}}))
	require.Contains(t, b.String(), "a&lt;b")
	require.Contains(t, b.String(), "7.25")
	require.NotContains(t, b.String(), "NaN")
	for d := xml.NewDecoder(&b); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else {
			require.NoError(t, err)
		}
	}
}

func TestTable(t *testing.T) {
	var b bytes.Buffer
	move := ringtest.Movement{Moved: 0.2, Least: 0.1, Astray: 0.015}
	row := func(name string) Spread {
		return Spread{Name: name, Balance: ringtest.Balance{Max: 1.5, Min: 0.5}, Join: move, Leave: move}
	}
	require.NoError(t, WriteTable(&b, []Spread{row("a"), row("a"), row("b")}))
	require.Contains(t, b.String(), "| a | 1.500, 1.500 | 0.500, 0.500 | 2.00, 2.00 | 2.00, 2.00 | 1.5 %, 1.5 % |\n| b | 1.500 |")
}
