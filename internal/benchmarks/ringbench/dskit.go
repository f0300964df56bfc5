package ringbench

import (
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"
)

const dskitVersion = "v0.0.0-20260703122047-de1ec7541c44"

// dskit is the lookup of PartitionRing in github.com/grafana/dskit, written after dskitVersion. That module
// itself does not compile beside the etcd client v3.7 that this one needs: a mock in its package kv/etcd uses fields
// that v3.7 no longer has. The original keeps more beside the lookup, so heap leaves it out.
var dskit = library{"dskit PartitionRing", openDskit}

// partitionRing holds, as the original, three slices in the order of the tokens.
type partitionRing struct {
	tokens     []uint32
	partitions []int32
	active     []bool
	ids        []string // by partition
}

// openDskit gives each partition random tokens, as many as the other circles have points. They belong to its node, so that
// they stay when others come and go.
func openDskit(ids []string) (finder, error) {
	r := &partitionRing{ids: ids}
	owners := map[uint32]int32{}
	for partition, id := range ids {
		for i, had := 0, 0; had < points; i++ {
			token := uint32(xxhash.Sum64String(fmt.Sprintf("%s-%d", id, i)))
			if _, taken := owners[token]; !taken {
				owners[token] = int32(partition)
				r.tokens = append(r.tokens, token)
				had++
			}
		}
	}
	slices.Sort(r.tokens)
	for _, token := range r.tokens {
		r.partitions = append(r.partitions, owners[token])
		r.active = append(r.active, true)
	}
	return r, nil
}

// partition is ActivePartitionForKey.
func (r *partitionRing) partition(key uint32) int32 {
	for i, n := r.search(key), 0; n < len(r.tokens); i, n = i+1, n+1 {
		if i >= len(r.tokens) {
			i %= len(r.tokens)
		}
		if r.active[i] {
			return r.partitions[i]
		}
	}
	return -1
}

// search returns the index of the first token after key.
func (r *partitionRing) search(key uint32) int {
	i, found := slices.BinarySearch(r.tokens, key)
	if found {
		i++
	}
	if i >= len(r.tokens) {
		i = 0
	}
	return i
}

func (r *partitionRing) owner(key string) string {
	return r.ids[r.partition(uint32(xxhash.Sum64String(key)))]
}

func (r *partitionRing) lookups(from, n int) {
	sum := 0
	for i := from; i < from+n; i++ {
		sum += len(r.owner(key(i)))
	}
	sink.Add(int64(sum))
}
