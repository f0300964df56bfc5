package fleet_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/internal/integration/stores"
)

// few is how many members have links that break.
const few = 6

var (
	hole = faultproxy.Faults{BlackholeUp: true, BlackholeDown: true}
	slow = faultproxy.Faults{Latency: 25 * time.Millisecond} // each way
)

func (p *party) set(f faultproxy.Faults) {
	for _, n := range p.ns {
		n.link.Set(f)
	}
}

// survives lets the store be disturbed while the fleet is closed, and while it is open.
func (p *party) survives(lasting time.Duration, disturb, undo func()) {
	t := p.t
	t.Helper()
	var svc service
	p.trafficOfAll(&svc)

	disturb()
	time.Sleep(lasting)
	for _, n := range p.ns {
		require.Zero(t, n.refused.Load(), "while the service is well nobody refuses, whatever the store does")
	}
	undo()
	p.settles("the fleet is one again", p.isWhole)
	p.callsWereFree()

	svc.failing.Store(true)
	p.settles("a service that fails opens all", p.areOpen)
	disturb()
	time.Sleep(lasting / 2)
	svc.failing.Store(false)
	p.settles("nobody stays open without the store", p.areClosed)
	undo()
	p.settles("the fleet is one again", p.isWhole)
	p.settles("and closed", p.areClosed)
	p.callsWereFree()
	p.actsAsOne(&svc)
}

// actsAsOne lets the service fail and recover.
func (p *party) actsAsOne(svc *service) {
	p.t.Helper()
	svc.failing.Store(true)
	p.settles("a fleet that is one again opens as one", p.areOpen)
	svc.failing.Store(false)
	p.settles("and closes as one", p.areClosed)
	p.callsWereFree()
}

func TestServerInABlackHole(t *testing.T) {
	stores.OnEach(t, func(t *testing.T, s stores.Store) {
		p := newParty(t, s, few, ttl, true)
		p.survives(ttl+ttl/4, func() { p.set(hole) }, func() { p.set(faultproxy.Faults{}) })
	})
}

func TestServerIsSlow(t *testing.T) {
	stores.OnEach(t, func(t *testing.T, s stores.Store) {
		p := newParty(t, s, few, ttl, true)
		p.survives(ttl/2, func() { p.set(slow) }, func() { p.set(faultproxy.Faults{}) })
	})
}

func TestServerRestarts(t *testing.T) {
	stores.OnDurable(t, func(t *testing.T, s stores.Durable) {
		p := newParty(t, s, few, ttl, true)
		p.survives(ttl/2, s.Crash, func() {})
	})
}

var linkFaults = []faultproxy.Faults{
	{},
	{Latency: 10 * time.Millisecond, Jitter: 50 * time.Millisecond},
	{Latency: 100 * time.Millisecond},
	hole,
	{BlackholeUp: true},
	{BlackholeDown: true}, // what is asked for happens, and nobody hears of it
	{Refuse: true},
	{Chunk: 5},
}

// Links break at random, each in its own way, so that events come late, torn, or after others that came later, and requests
// are sent again whose answers were lost. Calls notice nothing, and afterwards the fleet is one.
func TestLinkFaults(t *testing.T) {
	stores.OnEach(t, func(t *testing.T, s stores.Store) {
		const lasting = 5 * time.Second
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		p := newParty(t, s, few, ttl, true)
		var svc service
		p.trafficOfAll(&svc)
		end := time.Now().Add(lasting)
		nemesis := make(chan string, few)
		for i, n := range p.ns {
			rnd := rand.New(rand.NewPCG(seed, uint64(i)))
			go func() {
				for time.Now().Before(end) {
					n.link.Set(linkFaults[rnd.IntN(len(linkFaults))])
					if rnd.IntN(4) == 0 {
						n.link.ResetAll()
					}
					time.Sleep(time.Duration(rnd.Int64N(int64(ttl))))
					n.link.Heal()
					time.Sleep(time.Duration(rnd.Int64N(int64(ttl / 4))))
				}
				nemesis <- fmt.Sprint(i)
			}()
		}
		rnd := rand.New(rand.NewPCG(seed, few))
		for time.Now().Before(end) {
			svc.failing.Store(!svc.failing.Load())
			time.Sleep(time.Duration(rnd.Int64N(int64(ttl))))
		}
		for range p.ns {
			<-nemesis
		}
		svc.failing.Store(false)
		p.settles("all close once the service is well", p.areClosed)
		p.settles("the fleet is one again", p.isWhole)
		p.actsAsOne(&svc)
	})
}
