// Package fleet_test runs package breaker/fleet against real servers and under faults.
package fleet_test

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/concordkit/concord/breaker"
	"github.com/concordkit/concord/breaker/fleet"
	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/internal/integration/redisserver"
	"github.com/concordkit/concord/internal/integration/stores"
	"github.com/concordkit/concord/lock"
)

func TestMain(m *testing.M) {
	redisserver.Report()
	flag.Parse()
	flag.Set("test.parallel", "6") // they wait for time and servers more than they work
	goleak.VerifyTestMain(m)
}

const (
	// ttl is the least that all engines grant.
	ttl = 2 * time.Second
	// longTTL is for tests in which no lease should end, however busy the machine is.
	longTTL = 15 * time.Second
	// openFor and maxOpenFor are the open times of the breakers.
	openFor    = 500 * time.Millisecond
	maxOpenFor = time.Second
	// failuresToOpen in a row open a breaker by its own rules.
	failuresToOpen = 3
	// patience is for what must come, however late: a cluster of NATS does without a leader for 6 to 10 s.
	patience = 30 * time.Second
	// noWait is what a call may take, beside what the machine is late, that waits for nothing but its service. It is far below
	// what the store is away.
	noWait = time.Second
)

var errFails = errors.New("fails")

// service is what all nodes call.
type service struct {
	failing atomic.Bool
	failed  atomic.Int64
}

func (s *service) serve() error {
	time.Sleep(time.Millisecond)
	if s.failing.Load() {
		s.failed.Add(1)
		return errFails
	}
	return nil
}

// node is a process: a client, a breaker and a member of its own.
type node struct {
	name  string
	link  faultproxy.Links // none for a direct connection
	locks *lock.Locker
	b     *breaker.Breaker
	m     *fleet.Member

	probes  atomic.Int64 // calls that were let through while the breaker was not closed
	refused atomic.Int64
	longest atomic.Int64 // what a call took, in nanoseconds
	odd     atomic.Pointer[error]
}

// party is a fleet on a store.
type party struct {
	t    *testing.T
	s    stores.Store
	ttl  time.Duration
	name string
	ns   []*node
	ctx  context.Context // ends the calls
	stop func()
	work sync.WaitGroup
	once sync.Once // closes all

	late  atomic.Int64 // how long the machine took for what a service does, without a breaker, in nanoseconds
	blind atomic.Int64 // what the members have heard of failures of the store

	mu         sync.Mutex
	period     int // the last that anybody has heard of
	generation uint64
}

// newParty makes n members, by way of proxies or without.
func newParty(t *testing.T, s stores.Store, n int, ttl time.Duration, linked bool) *party {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	p := &party{t: t, s: s, ttl: ttl, name: "fleet-" + rand.Text(), ctx: ctx, stop: stop}
	for i := range n {
		p.add(fmt.Sprint("n", i), linked)
	}
	p.settles("all join", p.isWhole)
	return p
}

// add makes a member more, and returns when it has joined.
func (p *party) add(name string, linked bool) *node {
	p.t.Helper()
	n := &node{name: name}
	if linked {
		n.link = p.s.Links(p.t)
	}
	n.locks = lock.New(p.s.Connect(p.t, n.link), &lock.Options{TTL: p.ttl})
	p.ns = append(p.ns, n)
	p.t.Cleanup(p.close) // before the client is closed
	b, err := breaker.New(p.name, &breaker.Options{
		Rules: breaker.Rules{Consecutive: failuresToOpen, FailureRate: -1}, OpenFor: openFor, MaxOpenFor: maxOpenFor, Jitter: -1,
	})
	require.NoError(p.t, err)
	n.b = b
	p.join(n)
	return n
}

func (p *party) join(n *node) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	begun := time.Now()
	m, err := fleet.Join(ctx, n.locks, n.b, &fleet.Options{Node: n.name, Trace: &fleet.Trace{
		Opened: p.opened,
		Blind: func(_ string, err error) {
			p.blind.Add(1)
			p.t.Logf("%s: %v", n.name, err)
		},
	}})
	require.NoError(p.t, err)
	n.m = m
	require.False(p.t, m.Snapshot().Blind, "%s: Join returns when the fleet is known (after %v)", n.name, time.Since(begun))
}

func (p *party) opened(s fleet.Snapshot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.Generation > p.generation {
		p.generation, p.period = s.Generation, 0
	}
	p.period = max(p.period, s.Period)
}

// periods returns the last generation and how many probes have failed in it, as anybody has heard.
func (p *party) periods() (generation uint64, failed int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.generation, p.period
}

// close ends all that the nodes do, at its first call.
func (p *party) close() { p.once.Do(p.end) }

func (p *party) end() {
	p.quiet()
	var all sync.WaitGroup
	for _, n := range p.ns {
		n.link.Heal()
		all.Go(func() {
			ctx, stop := context.WithTimeout(context.Background(), 2*patience)
			defer stop()
			if n.m != nil {
				if err := n.m.Leave(ctx); err != nil {
					p.t.Errorf("Leave must end: %v", err)
				}
			}
			if err := n.locks.Close(ctx); err != nil {
				p.t.Errorf("Close must end: %v", err)
			}
		})
	}
	all.Wait()
}

// quiet ends all calls.
func (p *party) quiet() {
	p.stop()
	p.work.Wait()
}

// traffic lets a node call s until the test ends.
func (p *party) traffic(n *node, s *service) {
	p.work.Go(func() {
		for p.ctx.Err() == nil {
			n.call(s)
			select {
			case <-p.ctx.Done():
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
}

func (p *party) trafficOfAll(s *service) {
	p.work.Go(p.watchMachine)
	for _, n := range p.ns {
		p.traffic(n, s)
	}
}

func (p *party) watchMachine() {
	var idle service
	for p.ctx.Err() == nil {
		begun := time.Now()
		idle.serve()
		if took := int64(time.Since(begun)); took > p.late.Load() {
			p.late.Store(took)
		}
	}
}

// call makes one call and notes what is promised of it.
func (n *node) call(s *service) {
	begun := time.Now()
	err := n.b.Do(context.Background(), func(context.Context) error {
		if n.b.State() != breaker.Closed {
			n.probes.Add(1)
		}
		return s.serve()
	})
	if took := int64(time.Since(begun)); took > n.longest.Load() {
		n.longest.Store(took)
	}
	switch {
	case errors.Is(err, breaker.ErrOpen):
		n.refused.Add(1)
	case err != nil && !errors.Is(err, errFails):
		n.odd.Store(&err)
	}
}

// callsWereFree fails the test if a call has waited, or its caller has seen what is the store's.
func (p *party) callsWereFree() {
	p.t.Helper()
	for _, n := range p.ns {
		if err := n.odd.Load(); err != nil {
			require.NoError(p.t, *err, "a caller must see nothing of the store")
		}
		late := time.Duration(p.late.Load())
		require.Less(p.t, time.Duration(n.longest.Load()), noWait+late, "a call must not wait for the store (the machine was %v late)", late)
	}
}

// trip lets calls of a node fail until its breaker opens by its own rules.
func (p *party) trip(n *node) {
	p.t.Helper()
	for range failuresToOpen {
		n.b.Do(context.Background(), func(context.Context) error { return errFails })
	}
	require.NotEqual(p.t, breaker.Closed, n.b.State())
}

// vote lets a quorum fail.
func (p *party) vote() {
	p.t.Helper()
	p.trip(p.ns[0])
	p.trip(p.ns[len(p.ns)/2])
}

func (p *party) count(is func(*node) bool) (k int) {
	for _, n := range p.ns {
		if is(n) {
			k++
		}
	}
	return k
}

func isOpen(n *node) bool   { return n.m.Snapshot().Open && n.b.State() != breaker.Closed }
func isClosed(n *node) bool { return !n.m.Snapshot().Open && n.b.State() == breaker.Closed }

// areOpen reports whether the whole fleet is, in one generation.
func (p *party) areOpen() bool {
	g := p.ns[0].m.Snapshot().Generation
	return p.count(func(n *node) bool { return isOpen(n) && n.m.Snapshot().Generation == g }) == len(p.ns)
}

func (p *party) areClosed() bool { return p.count(isClosed) == len(p.ns) }

// isWhole reports whether every member sees all nodes.
func (p *party) isWhole() bool {
	names := map[string]bool{}
	for _, n := range p.ns {
		names[n.name] = true
	}
	return p.count(func(n *node) bool {
		s := n.m.Snapshot()
		return !s.Blind && s.Nodes == len(names)
	}) == len(p.ns)
}

// settles waits until what is promised holds.
func (p *party) settles(promise string, holds func() bool) {
	p.t.Helper()
	p.within(patience, promise, holds)
}

func (p *party) within(d time.Duration, promise string, holds func() bool) {
	p.t.Helper()
	for end := time.Now().Add(d); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			for _, n := range p.ns {
				p.t.Logf("%s: %v, %+v", n.name, n.b.Snapshot().State, n.m.Snapshot())
			}
			require.FailNow(p.t, "too late", "%s (waited %v)", promise, d)
		}
	}
}
