package ringbench

import "github.com/concordkit/concord/ring"

// concord is ours, by Lookup.
func concord(p ring.Placement) library {
	return library{p.String(), func(ids []string) (finder, error) {
		r, err := ring.New(nodesOf(ids), &ring.Options{Placement: p})
		return concordRing{r}, err
	}}
}

// concordRing finds whole nodes.
type concordRing struct{ *ring.Ring }

func (r concordRing) owner(key string) string {
	n, _ := r.Lookup(key)
	return n.ID
}

func (r concordRing) lookups(from, n int) {
	sum := 0
	for i := from; i < from+n; i++ {
		sum += len(r.owner(key(i)))
	}
	sink.Add(int64(sum))
}

// concordIDs is ours, by LookupID.
func concordIDs(p ring.Placement) library {
	return library{p.String(), func(ids []string) (finder, error) {
		r, err := ring.New(nodesOf(ids), &ring.Options{Placement: p})
		return concordNames{r}, err
	}}
}

// concordNames finds what the peers do: no more than the name of a node.
type concordNames struct{ *ring.Ring }

func (r concordNames) owner(key string) string {
	id, _ := r.LookupID(key)
	return id
}

func (r concordNames) lookups(from, n int) {
	sum := 0
	for i := from; i < from+n; i++ {
		sum += len(r.owner(key(i)))
	}
	sink.Add(int64(sum))
}
