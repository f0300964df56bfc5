package ring_test

import (
	"cmp"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/ring"
)

// The oracle is the rule of the placements once more, without tables that change step by step, without bounds, and in big
// numbers.

func num(x uint64) *big.Int { return new(big.Int).SetUint64(x) }

func pow2(n uint) *big.Int { return new(big.Int).Lsh(big.NewInt(1), n) }

// oracleRandom is the i-th number of the SplitMix64 sequence that the ID seeds.
func oracleRandom(id string, i int) uint64 {
	x := xxhash.Sum64String(id) + uint64(i+1)*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// oracleLog is log2(1+i/256) in units of 2^-57, digit by digit, with numbers of 63 digits after the point.
var oracleLogs = sync.OnceValue(func() []*big.Int {
	logs := make([]*big.Int, 257)
	for i := range logs {
		if i == 256 {
			logs[i] = pow2(57)
			break
		}
		m := new(big.Int).Lsh(big.NewInt(int64(256+i)), 63-8)
		log := new(big.Int)
		for range 57 {
			m.Mul(m, m).Rsh(m, 63)
			log.Lsh(log, 1)
			if m.Cmp(pow2(64)) >= 0 {
				log.Add(log, big.NewInt(1))
				m.Rsh(m, 1)
			}
		}
		logs[i] = log
	}
	return logs
})

// oracleScore is -log2((x+1)/2^64)/weight.
func oracleScore(id string, weight float64, slot int) *big.Int {
	x := new(big.Int).Add(num(oracleRandom(id, slot)), big.NewInt(1))
	exponent := uint(x.BitLen() - 1)
	fraction := new(big.Int).Sub(x, pow2(exponent)) // of 2^exponent
	fraction.Lsh(fraction, 64-exponent)
	i := new(big.Int).Rsh(fraction, 56).Int64()
	rest := new(big.Int).And(fraction, new(big.Int).Sub(pow2(56), big.NewInt(1)))
	logs := oracleLogs()
	log := new(big.Int)
	if i < 256 {
		log.Sub(logs[i+1], logs[i])
		log.Mul(log, rest).Rsh(log, 56)
	}
	log.Add(log, logs[i])
	minus := new(big.Int).Lsh(big.NewInt(int64(64-exponent)), 57)
	minus.Sub(minus, log)
	scale := new(big.Int).Div(pow2(85), oracleWeight(weight))
	return minus.Mul(minus, scale).Rsh(minus, 64)
}

// oracleWeight is a weight in units of 2^-32, rounded down.
func oracleWeight(weight float64) *big.Int {
	w, _ := new(big.Float).Mul(big.NewFloat(weight), big.NewFloat(1<<32)).Int(nil)
	return w
}

type bid struct {
	score *big.Int
	id    string
	slot  int
}

func (b bid) compare(o bid) int {
	return cmp.Or(b.score.Cmp(o.score), cmp.Compare(b.id, o.id), cmp.Compare(b.slot, o.slot))
}

func active(nodes []ring.Node) []ring.Node {
	return slices.DeleteFunc(slices.Clone(nodes), func(n ring.Node) bool { return n.State != ring.Active })
}

func weightOf(n ring.Node) float64 { return cmp.Or(n.Weight, 1) }

// oraclePreference orders the nodes by their scores for a slot.
func oraclePreference(nodes []ring.Node, slot int) []bid {
	var bids []bid
	for _, n := range nodes {
		bids = append(bids, bid{oracleScore(n.ID, weightOf(n), slot), n.ID, slot})
	}
	slices.SortFunc(bids, bid.compare)
	return bids
}

func oracleSlots(nodes []ring.Node, slots int) []string {
	owners := make([]string, slots)
	for slot := range owners {
		owners[slot] = oraclePreference(active(nodes), slot)[0].id
	}
	return owners
}

// oracleMaxLoad takes all pairs of slot and node by their scores.
func oracleMaxLoad(nodes []ring.Node, slots int, c float64) []string {
	nodes = active(nodes)
	total := new(big.Rat)
	for _, n := range nodes {
		total.Add(total, new(big.Rat).SetFloat64(weightOf(n)))
	}
	room := map[string]int64{}
	for _, n := range nodes {
		share := new(big.Rat).SetFloat64(weightOf(n))
		share.Mul(share, big.NewRat(int64(slots), 1)).Quo(share, total)
		up := new(big.Int).Add(share.Num(), share.Denom())
		up.Sub(up, big.NewInt(1)).Div(up, share.Denom())
		most := new(big.Rat).Mul(share, new(big.Rat).SetFloat64(c))
		room[n.ID] = max(up.Int64(), new(big.Int).Div(most.Num(), most.Denom()).Int64())
	}
	var bids []bid
	for slot := range slots {
		bids = append(bids, oraclePreference(nodes, slot)...)
	}
	slices.SortFunc(bids, bid.compare)
	owners := make([]string, slots)
	for _, b := range bids {
		if owners[b.slot] == "" && room[b.id] > 0 {
			owners[b.slot] = b.id
			room[b.id]--
		}
	}
	return owners
}

type point struct {
	at uint64 // 48 bits
	id string
}

// oracleVNodes returns all points in order.
func oracleVNodes(nodes []ring.Node, n int) []point {
	var points []point
	for _, node := range active(nodes) {
		count := new(big.Int).Mul(oracleWeight(weightOf(node)), big.NewInt(int64(n)))
		count.Add(count, pow2(31)).Rsh(count, 32) // rounded to the nearest
		for i := range max(1, int(count.Int64())) {
			points = append(points, point{oracleRandom(node.ID, i) >> 16, node.ID})
		}
	}
	slices.SortFunc(points, func(a, b point) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.id, b.id)) })
	return points
}

// oracleFirst returns the index of the first point at or after h.
func oracleFirst(points []point, h uint64) int {
	return max(0, slices.IndexFunc(points, func(p point) bool { return p.at >= h>>16 }))
}

// oracleWalk returns the IDs of the points from h on, once round.
func oracleWalk(points []point, h uint64) []string {
	start := oracleFirst(points, h)
	var ids []string
	for i := range points {
		ids = append(ids, points[(start+i)%len(points)].id)
	}
	return ids
}

// oracleReplicas puts the first of each zone before the others.
func oracleReplicas(order []string, nodes []ring.Node) []string {
	zone := map[string]string{}
	for _, n := range nodes {
		zone[n.ID] = n.Zone
	}
	var first, others []string
	zones, seen := map[string]bool{}, map[string]bool{}
	for _, id := range order {
		switch {
		case seen[id]:
		case zones[zone[id]]:
			others = append(others, id)
		default:
			first = append(first, id)
			zones[zone[id]] = true
		}
		seen[id] = true
	}
	return append(first, others...)
}

// randomNodes returns up to most nodes of odd names, weights, zones and states.
func randomNodes(random *rand.Rand, most int) []ring.Node {
	nodes := make([]ring.Node, random.IntN(most+1))
	for i := range nodes {
		nodes[i] = ring.Node{ID: fmt.Sprintf("n%d-é", i*i), Addr: fmt.Sprint(random.IntN(3))}
		if random.IntN(2) == 0 {
			nodes[i].Weight = []float64{0.001, 0.3, 1, 2, 7, 100}[random.IntN(6)]
		}
		if random.IntN(3) > 0 {
			nodes[i].Zone = fmt.Sprint("zone ", random.IntN(3))
		}
		if random.IntN(4) == 0 {
			nodes[i].State = ring.State(random.IntN(4))
		}
	}
	random.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	return nodes
}

func seeded(t *testing.T, seed uint64) *rand.Rand {
	t.Helper()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 4))
}

func idsOf(nodes []ring.Node) []string {
	var ids []string
	for _, n := range nodes {
		ids = append(ids, n.ID)
	}
	return ids
}

func TestSlotsAgainstTheOracle(t *testing.T) {
	const bits = 7
	for seed := range uint64(30) {
		random := seeded(t, seed)
		nodes := randomNodes(random, 20)
		if len(active(nodes)) == 0 {
			continue
		}
		c := 1 + random.Float64()
		free := newRing(t, ring.Slots(bits), nodes...)
		limited := newRing(t, ring.Slots(bits).MaxLoad(c), nodes...)
		want, wantLimited := oracleSlots(nodes, 1<<bits), oracleMaxLoad(nodes, 1<<bits, c)
		for slot := range 1 << bits {
			for _, h := range []uint64{uint64(slot) << (64 - bits), uint64(slot+1)<<(64-bits) - 1} {
				n, ok := free.LookupHash(h)
				require.True(t, ok)
				require.Equal(t, want[slot], n.ID, "slot %d", slot)
				n, _ = limited.LookupHash(h)
				require.Equal(t, wantLimited[slot], n.ID, "slot %d, MaxLoad(%v)", slot, c)
			}
		}
	}
}

func TestVNodesAgainstTheOracle(t *testing.T) {
	for seed := range uint64(40) {
		random := seeded(t, seed)
		nodes := randomNodes(random, 12)
		if len(active(nodes)) == 0 {
			continue
		}
		n := 1 + random.IntN(20)
		r := newRing(t, ring.VNodes(n), nodes...)
		points := oracleVNodes(nodes, n)
		hashes := []uint64{0, 1, ^uint64(0), ^uint64(0) - 1}
		for _, p := range points {
			hashes = append(hashes, p.at<<16, p.at<<16-1, p.at<<16|0xffff, (p.at+1)<<16)
		}
		for range 100 {
			hashes = append(hashes, random.Uint64())
		}
		for _, h := range hashes {
			got, ok := r.LookupHash(h)
			require.True(t, ok)
			require.Equal(t, points[oracleFirst(points, h)].id, got.ID, "hash %x", h)
		}
	}
}

// Of many nodes only the nearest few are looked at.
func TestReplicasOfManyAgainstTheOracle(t *testing.T) {
	const bits = 4
	for seed := range uint64(6) {
		random := seeded(t, seed)
		nodes := randomNodes(random, 200)
		if len(active(nodes)) == 0 {
			continue
		}
		r := newRing(t, ring.Slots(bits), nodes...)
		for slot := range 1 << bits {
			key := keyIn(slot, bits)
			var order []string
			for _, b := range oraclePreference(active(nodes), slot) {
				order = append(order, b.id)
			}
			want := oracleReplicas(order, nodes)
			for _, n := range []int{1, 3, 4, 5, 8, 12, 40, 120, 200} {
				require.Equal(t, want[:min(n, len(want))], idsOf(r.AppendReplicas(nil, key, n)), "%d replicas", n)
			}
		}
	}
}

// keyIn returns a key that is in a slot.
func keyIn(slot, bits int) string {
	for i := 0; ; i++ {
		if key := fmt.Sprint("key", i); xxhash.Sum64String(key)>>(64-bits) == uint64(slot) {
			return key
		}
	}
}

func TestReplicasAgainstTheOracle(t *testing.T) {
	const bits = 6
	for seed := range uint64(40) {
		random := seeded(t, seed)
		nodes := randomNodes(random, 15)
		if len(active(nodes)) == 0 {
			continue
		}
		slots := newRing(t, ring.Slots(bits), nodes...)
		circle := newRing(t, ring.VNodes(9), nodes...)
		points := oracleVNodes(nodes, 9)
		for i := range 20 {
			key := fmt.Sprint("key", i)
			h := xxhash.Sum64String(key)
			var order []string
			for _, b := range oraclePreference(active(nodes), int(h>>(64-bits))) {
				order = append(order, b.id)
			}
			bySlot, byPoint := oracleReplicas(order, nodes), oracleReplicas(oracleWalk(points, h), nodes)
			for _, n := range []int{0, 1, 2, 3, 4, 5, 14, 15, 99, 1 << 30} {
				require.Equal(t, bySlot[:min(n, len(bySlot))], append([]string{}, idsOf(slots.AppendReplicas(nil, key, n))...))
				require.Equal(t, byPoint[:min(n, len(byPoint))], append([]string{}, idsOf(circle.AppendReplicas(nil, key, n))...))
			}
		}
	}
}
