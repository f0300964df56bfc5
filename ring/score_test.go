package ring

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLogarithm(t *testing.T) {
	logs := logs()
	for i := 1; i < len(logs); i++ {
		require.Greater(t, logs[i], logs[i-1])
	}
	random := rand.New(rand.NewPCG(1, 1))
	for range 100_000 {
		x := random.Uint64() >> random.IntN(64)
		want := 64 - math.Log2(float64(x)+1)
		got := float64(logs.minusLog2(x)) / (1 << logBits)
		require.InDelta(t, want, got, 3e-6, "x %d", x)
	}
	require.Zero(t, logs.minusLog2(math.MaxUint64), "of 1")
	require.Equal(t, uint64(64<<logBits), logs.minusLog2(0), "of 2^-64: no overflow")
}

// FuzzScore holds the bound that spares the logarithm to what it promises: it is never above the score.
func FuzzScore(f *testing.F) {
	for _, x := range []uint64{0, 1, math.MaxUint64, math.MaxUint64 - 1, math.MaxUint64 - 300, 1 << 63, 1<<63 - 1} {
		f.Add(x, 1.0)
		f.Add(x, MinWeight)
		f.Add(x, float64(MaxWeight))
	}
	logs := logs()
	f.Fuzz(func(t *testing.T, seed uint64, w float64) {
		if !(w >= MinWeight && w <= MaxWeight) {
			return
		}
		c := candidateOf(seed, fixed(w), 0)
		for slot := range 64 {
			key := slotKey(slot)
			s := c.score(logs, key, nothing)
			require.Equal(t, s, c.score(logs, key, s), "a limit of the score itself is none")
			require.GreaterOrEqual(t, c.ceiling(key), s, "the ceiling")
			if s > 0 {
				require.Greater(t, c.score(logs, key, s-1), s-1, "above the limit")
			}
			if slot > 0 {
				continue
			}
			// The seed as the random number itself, which reaches the ends of the range.
			score, bound := mulHigh(logs.minusLog2(seed), c.scale), mulHigh(^seed, c.floor)
			require.LessOrEqual(t, bound, score, "x %d, weight %v", seed, w)
		}
	})
}

// FuzzRing feeds names, weights and keys of any kind: nothing panics, and owners are members.
func FuzzRing(f *testing.F) {
	f.Add("a", "b", "zone", 1.0, uint8(0), "key", 3)
	f.Add("", "\xff", "\x00", math.NaN(), uint8(9), "", -1)
	f.Add("a", "b", "", 10000.0, uint8(0), "k", 3) // b and c have no points on Ketama
	f.Add("same", "same", "", math.Inf(1), uint8(2), "k", 1<<30)
	f.Fuzz(func(t *testing.T, a, b, zone string, weight float64, state uint8, key string, n int) {
		nodes := []Node{{ID: a, Zone: zone, Weight: weight}, {ID: b, State: State(state)}, {ID: "c"}}
		for _, p := range []Placement{Slots(4), Slots(4).MaxLoad(1.5), VNodes(3), Ketama()} {
			r, err := New(nodes, &Options{Placement: p})
			if err != nil {
				require.ErrorIs(t, err, ErrInvalid)
				continue
			}
			owner, ok := r.Lookup(key)
			require.True(t, ok)
			require.Equal(t, Active, owner.State)
			replicas := r.AppendReplicas(nil, key, n)
			require.Len(t, replicas, max(0, min(n, r.View().active)))
			if len(replicas) > 0 {
				require.Equal(t, owner, replicas[0])
			}
		}
	})
}
