package ring

import (
	"crypto/md5"
	"encoding/binary"
	"slices"
	"strconv"
)

const (
	ketamaDigests = 40 // for a node of average weight
	ketamaPoints  = md5.Size / 4
)

// ketamaHash takes the first four bytes of a key's MD5, as the upper half of the result.
func ketamaHash(key []byte) uint64 {
	sum := md5.Sum(key)
	return uint64(binary.LittleEndian.Uint32(sum[:])) << 32
}

// buildKetama follows update_continuum of libmemcached 1.1.4, with MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED.
func buildKetama(nodes []Node, members []member) *circle {
	var total float64 // exact, since weights are whole
	for _, m := range members {
		total += nodes[m.index].Weight
	}
	var points []uint64
	for _, m := range members {
		n := nodes[m.index]
		key := append([]byte(n.ID), '-')
		for i := range digests(n.Weight, total, len(members)) {
			sum := md5.Sum(strconv.AppendInt(key, int64(i), 10))
			for j := range ketamaPoints {
				at := uint64(binary.LittleEndian.Uint32(sum[4*j:]))
				points = append(points, at<<32|uint64(m.index))
			}
		}
	}
	slices.Sort(points)
	return newCircle(points)
}

// digests returns how many digests, of four points each, a node gets. libmemcached reckons in float32, and for 25 equal servers
// arrives at 39.999996, not 40. Each conversion stands for a rounding of its own: without it, the compiler of some
// architectures would fuse operations.
func digests(weight, total float64, n int) int {
	part := float32(float32(weight) / float32(total))
	whole := float32(float32(float32(part*160)/4) * float32(n))
	return int(float32(whole + 1e-10))
}
