package ringbench

import (
	"github.com/cespare/xxhash/v2"
	"github.com/dgryski/go-jump"
	"github.com/dgryski/go-rendezvous"
)

var (
	goJump       = library{"go-jump", func(ids []string) (finder, error) { return jumpList(ids), nil }}
	goRendezvous = library{"go-rendezvous", func(ids []string) (finder, error) {
		return rendezvousSet{rendezvous.New(ids, xxhash.Sum64String)}, nil
	}}
)

// jumpList is what a program keeps beside jump, which knows numbers only.
type jumpList []string

func (l jumpList) owner(key string) string { return l[jump.Hash(xxhash.Sum64String(key), len(l))] }

func (l jumpList) lookups(from, n int) {
	sum := 0
	for i := from; i < from+n; i++ {
		sum += len(l.owner(key(i)))
	}
	sink.Add(int64(sum))
}

type rendezvousSet struct{ *rendezvous.Rendezvous }

func (s rendezvousSet) owner(key string) string { return s.Lookup(key) }

func (s rendezvousSet) lookups(from, n int) {
	sum := 0
	for i := from; i < from+n; i++ {
		sum += len(s.owner(key(i)))
	}
	sink.Add(int64(sum))
}
