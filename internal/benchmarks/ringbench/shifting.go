package ringbench

import (
	"sync"
	"sync/atomic"

	"github.com/concordkit/concord/ring"
)

// shifting is a set of nodes that may change while goroutines look up.
type shifting interface {
	finder
	// change makes a node join or, the next time, leave.
	change() error
}

// turns tells a join from a leave.
type turns struct{ joined bool }

func (t *turns) next() (join bool) {
	t.joined = !t.joined
	return t.joined
}

type changingRing struct {
	concordRing
	turns
}

func shiftingRing(p ring.Placement) func(ids []string) (shifting, error) {
	return func(ids []string) (shifting, error) {
		r, err := ring.New(nodesOf(ids), &ring.Options{Placement: p})
		return &changingRing{concordRing: concordRing{r}}, err
	}
}

func (r *changingRing) change() (err error) {
	if r.next() {
		_, err = r.Add(ring.Node{ID: newcomer})
	} else {
		_, err = r.Remove(newcomer)
	}
	return err
}

// lockedGroupcache is what one writes around groupcache. The lock is held for a swap only, not while a map is built.
type lockedGroupcache struct {
	turns
	with []string // and the newcomer
	mu   sync.RWMutex
	m    groupcacheMap
}

func newLockedGroupcache(ids []string) (shifting, error) {
	return &lockedGroupcache{with: append(ids, newcomer), m: newGroupcache(ids, sum32)}, nil
}

func (l *lockedGroupcache) change() error {
	n := len(l.with)
	if !l.next() {
		n--
	}
	m := newGroupcache(l.with[:n], sum32)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.m = m
	return nil
}

func (l *lockedGroupcache) owner(key string) string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.m.owner(key)
}

func (l *lockedGroupcache) lookups(from, n int) {
	sum := 0
	for i := from; i < from+n; i++ {
		sum += len(l.owner(key(i)))
	}
	sink.Add(int64(sum))
}

type swappedSerialx struct {
	turns
	r atomic.Pointer[serialxRing]
}

func newSwappedSerialx(ids []string) (shifting, error) {
	s := new(swappedSerialx)
	r := newSerialx(ids, sum64)
	s.r.Store(&r)
	return s, nil
}

func (s *swappedSerialx) change() error {
	r := *s.r.Load()
	if s.next() {
		r.HashRing = r.AddWeightedNode(newcomer, points)
	} else {
		r.HashRing = r.RemoveNode(newcomer)
	}
	s.r.Store(&r)
	return nil
}

func (s *swappedSerialx) owner(key string) string { return s.r.Load().owner(key) }

func (s *swappedSerialx) lookups(from, n int) {
	sum := 0
	for i := from; i < from+n; i++ {
		sum += len(s.owner(key(i)))
	}
	sink.Add(int64(sum))
}
