package ringbench

import (
	"github.com/cespare/xxhash/v2"
	"github.com/golang/groupcache/consistenthash"
	"github.com/serialx/hashring"
)

// points is how many points a node has on the circle of every library that has one, the usual number.
const points = 160

// groupcacheCRC and serialxMD5 have their own hashes, which is what most programs that use them have.
var (
	groupcache    = library{"groupcache", func(ids []string) (finder, error) { return newGroupcache(ids, sum32), nil }}
	groupcacheCRC = library{"groupcache, its CRC-32", func(ids []string) (finder, error) { return newGroupcache(ids, nil), nil }}
	serialx       = library{"serialx", func(ids []string) (finder, error) { return newSerialx(ids, sum64), nil }}
	serialxMD5    = library{"serialx, its MD5", func(ids []string) (finder, error) { return newSerialx(ids, nil), nil }}
)

func sum32(b []byte) uint32 { return uint32(xxhash.Sum64(b)) }

// hash64 is a place on the circle of serialx.
type hash64 uint64

func (h hash64) Less(o hashring.HashKey) bool { return h < o.(hash64) }

func sum64(b []byte) hashring.HashKey { return hash64(xxhash.Sum64(b)) }

type groupcacheMap struct{ *consistenthash.Map }

func newGroupcache(ids []string, hash consistenthash.Hash) groupcacheMap {
	m := consistenthash.New(points, hash)
	m.Add(ids...)
	return groupcacheMap{m}
}

func (m groupcacheMap) owner(key string) string { return m.Get(key) }

func (m groupcacheMap) lookups(from, n int) {
	sum := 0
	for i := from; i < from+n; i++ {
		sum += len(m.owner(key(i)))
	}
	sink.Add(int64(sum))
}

type serialxRing struct{ *hashring.HashRing }

// newSerialx takes a nil hash for its own.
func newSerialx(ids []string, hash hashring.HashFunc) serialxRing {
	weights := make(map[string]int, len(ids))
	for _, id := range ids {
		weights[id] = points
	}
	if hash == nil {
		return serialxRing{hashring.NewWithWeights(weights)}
	}
	return serialxRing{hashring.NewWithHashAndWeights(weights, hash)}
}

func (r serialxRing) owner(key string) string {
	id, _ := r.GetNode(key)
	return id
}

func (r serialxRing) lookups(from, n int) {
	sum := 0
	for i := from; i < from+n; i++ {
		sum += len(r.owner(key(i)))
	}
	sink.Add(int64(sum))
}
