package fleet_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/breaker"
	"github.com/concordkit/concord/breaker/fleet"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/memlock"
)

// probes counts probes by generation and period.
type probes struct {
	mu    sync.Mutex
	count map[string]int
	last  *node // that has probed
}

// follow counts those of n, from its breaker's transitions: a probe that the fleet allowed begins with one that says so.
func (p *probes) follow(n *node) {
	follow := n.b.Transitions(n.t.Context())
	go func() {
		var key string
		for t, err := range follow.All(n.t.Context()) {
			if err != nil {
				return
			}
			if of, ok := strings.CutPrefix(t.Reason, "fleet: probe of "); ok {
				key = of
			}
			if t.To == breaker.HalfOpen && key != "" {
				p.mu.Lock()
				p.count[key]++
				p.last = n
				p.mu.Unlock()
			}
			if t.To != breaker.Open {
				key = ""
			}
		}
	}()
}

// had reports whether n was the last to probe.
func (p *probes) had(n *node) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last == n
}

// broken returns the periods that had more than one.
func (p *probes) broken() (keys []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, n := range p.count {
		if n > 1 {
			keys = append(keys, fmt.Sprintf("%s: %d probes", k, n))
		}
	}
	return keys
}

func TestProbesFindASecondOne(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		ns := newFleet(t, backend, 2, fleet.Options{})
		p := &probes{count: map[string]int{}}
		for _, n := range ns {
			p.follow(n)
		}
		require.NoError(t, ns[0].m.Trip(t.Context(), "x", time.Hour))
		settle()
		for _, n := range ns {
			n.b.Probe("fleet: probe of generation 1, period 0")
		}
		time.Sleep(2 * time.Millisecond)
		for _, n := range ns {
			require.True(t, n.call(errFails))
		}
		settle()
		require.Equal(t, []string{"generation 1, period 0: 2 probes"}, p.broken())
	})
}

// A service that fails and recovers at random under a fleet whose links are slow, each in its own way, and whose members
// leave and join: no period has two probes, all open after a quorum, and all close when the service is well.
func TestSlowLinks(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 1))
				backend := memlock.New()
				s := &service{takes: 5 * time.Millisecond}
				p := &probes{count: map[string]int{}}
				var ns []*node
				add := func() {
					n := newNode(t, backend, fmt.Sprint("n", len(ns)))
					n.delay = time.Duration(rng.IntN(150)) * time.Millisecond
					p.follow(n.join(fleet.Options{Quorum: 3}))
					n.traffic(s, time.Duration(1+rng.IntN(40))*time.Millisecond)
					ns = append(ns, n)
				}
				for range 8 {
					add()
				}
				for range 12 {
					s.failing.Store(rng.IntN(3) > 0)
					time.Sleep(time.Duration(rng.IntN(4000)) * time.Millisecond)
					switch rng.IntN(4) {
					case 0:
						add()
					case 1:
						if n := ns[rng.IntN(len(ns))]; !p.had(n) { // it might take its result along
							require.NoError(t, n.m.Leave(t.Context()))
							n.join(fleet.Options{Quorum: 3})
						}
					}
				}
				s.failing.Store(true)
				time.Sleep(5 * time.Second)
				require.Len(t, open(ns), len(ns), "the service fails")
				s.failing.Store(false)
				time.Sleep(6 * time.Second)
				require.Empty(t, open(ns), "the service is well")
				require.Empty(t, p.broken())
				require.Greater(t, len(p.count), 3)
			})
		})
	}
}

// Processes that are cut off for a while, some of them while they hold leases, may probe twice, but nobody stays open for
// ever, and the fleet is one again.
func TestCutOff(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 2))
				server := &swap{}
				server.to(memlock.New())
				s := &service{takes: 5 * time.Millisecond}
				var ns []*node
				for i := range 8 {
					n := newNode(t, server, fmt.Sprint("n", i))
					n.delay = time.Duration(rng.IntN(50)) * time.Millisecond
					n.join(fleet.Options{Quorum: 3})
					n.traffic(s, time.Duration(1+rng.IntN(40))*time.Millisecond)
					ns = append(ns, n)
				}
				for range 15 {
					s.failing.Store(rng.IntN(2) > 0)
					n := ns[rng.IntN(len(ns))]
					n.down.Store(rng.IntN(3) > 0)
					if rng.IntN(6) == 0 {
						server.to(memlock.New())
					}
					time.Sleep(time.Duration(rng.IntN(5000)) * time.Millisecond)
				}
				s.failing.Store(false)
				for _, n := range ns {
					n.down.Store(false)
				}
				time.Sleep(4*time.Second + 3*ttl)
				require.Empty(t, open(ns))
				s.failing.Store(true)
				time.Sleep(time.Second)
				require.Len(t, open(ns), len(ns))
				g := ns[0].m.Snapshot().Generation
				for _, n := range ns {
					require.True(t, n.m.Snapshot().Open)
					require.Equal(t, g, n.m.Snapshot().Generation)
					require.Equal(t, len(ns), n.m.Snapshot().Nodes)
				}
			})
		})
	}
}

// Operators, orders, cuts, lost data, members that leave and join, in any order: when all that is over the fleet is one again, closes
// and opens.
func TestAnything(t *testing.T) {
	for seed := range uint64(25) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 7))
				server := &swap{}
				server.to(memlock.New())
				s := &service{takes: time.Duration(1+rng.IntN(300)) * time.Millisecond}
				var ns []*node
				for i := range 6 {
					n := newNode(t, server, fmt.Sprint("n", i))
					n.delay = time.Duration(rng.IntN(60)) * time.Millisecond
					r := rules()
					r.Probes = 1 + int(seed%3)
					b, err := breaker.New("billing", r)
					require.NoError(t, err)
					n.b = b
					n.join(fleet.Options{Quorum: 2})
					n.traffic(s, time.Duration(1+rng.IntN(400))*time.Millisecond)
					ns = append(ns, n)
				}
				for range 40 {
					s.failing.Store(rng.IntN(3) > 0)
					n := ns[rng.IntN(len(ns))]
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(300))*time.Millisecond)
					switch rng.IntN(11) {
					case 0:
						n.b.ForceOpen("op")
					case 1:
						n.b.Disable("op")
					case 2, 3:
						n.b.Reset("op")
					case 4:
						n.b.Trip("op", time.Second)
					case 5:
						n.m.Trip(ctx, "op", time.Duration(1+rng.IntN(5000))*time.Millisecond)
					case 6:
						n.m.Restore(ctx)
					case 7:
						n.down.Store(true)
					case 8:
						n.down.Store(false)
					case 9:
						if rng.IntN(4) == 0 {
							server.to(memlock.New())
						}
					case 10:
						n.m.Leave(ctx)
						n.join(fleet.Options{Quorum: 2})
					}
					cancel()
					time.Sleep(time.Duration(rng.IntN(1500)) * time.Millisecond)
				}
				s.failing.Store(false)
				for _, n := range ns {
					n.down.Store(false)
					if st := n.b.State(); st == breaker.ForcedOpen || st == breaker.Disabled {
						n.b.Reset("end")
					}
				}
				time.Sleep(25*time.Second + 3*ttl)
				require.Empty(t, open(ns))
				for _, n := range ns {
					require.False(t, n.m.Snapshot().Open, "%+v", n.m.Snapshot())
				}
				s.failing.Store(true)
				time.Sleep(5 * time.Second)
				for _, n := range ns {
					require.True(t, n.m.Snapshot().Open)
					require.Equal(t, ns[0].m.Snapshot().Generation, n.m.Snapshot().Generation)
				}
			})
		})
	}
}
