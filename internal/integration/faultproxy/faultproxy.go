// Package faultproxy puts a TCP proxy between a client and a server and breaks the link between them on demand: delay,
// one-way and two-way black holes, refused and reset connections, torn frames, and partitions of single peers.
//
// A server that must know its own address before it listens is told the address of a proxy, listens on port 0, and the
// proxy gets the result by [Proxy.SetTarget]. No test has to guess a free port, and the server may move when it
// restarts.
//
// # Limits
//
// The proxy breaks connections, not packets. The kernel completes a client's handshake before the proxy hears of it,
// and acknowledges what it sends until the buffers are full, so a black hole looks like a network that accepts
// everything and delivers nothing: connecting succeeds, and TCP keep-alives are answered.
package faultproxy

import (
	"cmp"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// dialTimeout bounds how long a client waits for a target that does not answer; targets are on this machine.
const dialTimeout = 5 * time.Second

// Proxy forwards the connections of one listener to one target. Its methods may be called concurrently.
type Proxy struct {
	t  testing.TB
	ln net.Listener
	wg sync.WaitGroup // all goroutines

	mu              sync.Mutex
	network, target string
	identify        func(first []byte) string
	faults          Faults
	random          *rand.Rand // nil before the first jitter
	cut             map[string]bool
	changed         chan struct{} // closed and replaced when faults or cut change
	links           map[*link]struct{}
	closed          bool
}

// New starts a proxy that listens on a free port of 127.0.0.1 and forwards to target, whose network is "tcp" or
// "unix". With an empty target it refuses connections until [Proxy.SetTarget]. It is closed when t ends.
func New(t testing.TB, network, target string) *Proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("faultproxy: %v", err)
	}
	p := &Proxy{
		t: t, ln: ln, network: network, target: target,
		cut: map[string]bool{}, changed: make(chan struct{}), links: map[*link]struct{}{},
	}
	p.wg.Go(p.accept)
	t.Cleanup(p.Close)
	return p
}

// Addr returns the address, as host:port, for clients to dial.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

// SetTarget forwards new connections to addr. Open ones stay where they are.
func (p *Proxy) SetTarget(network, addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.network, p.target = network, addr
}

// SetIdentify makes fn name the client of every later connection, for [Proxy.CutPeer]. It gets all that the client has
// sent so far, at most 4 KiB, again whenever more arrives, until it returns a name that is not empty.
func (p *Proxy) SetIdentify(fn func(first []byte) string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.identify = fn
}

// Set puts f in force, in place of all faults before, for open connections too.
func (p *Proxy) Set(f Faults) {
	p.mu.Lock()
	fresh := f.Jitter > 0 && (f.Seed != 0 || p.random == nil)
	if fresh {
		f.Seed = cmp.Or(f.Seed, rand.Uint64())
		p.random = rand.New(rand.NewPCG(f.Seed, 0))
	}
	p.faults = f
	p.change()
	p.mu.Unlock()
	if fresh {
		p.t.Logf("faultproxy: jitter on %s has seed %d", p.Addr(), f.Seed)
	}
}

// Heal ends all faults and cuts. What was held or delayed moves at once.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = Faults{}
	clear(p.cut)
	p.change()
}

// CutPeer puts the connections of the client called name, as told by the function of [Proxy.SetIdentify], in a black
// hole both ways, or takes them out of it. It works beside the faults in force.
func (p *Proxy) CutPeer(name string, on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut[name] = on
	p.change()
}

// change wakes whatever the faults may let pass now. It runs under p.mu.
func (p *Proxy) change() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// ResetAll resets every open connection, at both ends, whatever the faults hold.
func (p *Proxy) ResetAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.abort()
	}
}

// Close stops listening, resets every connection and waits until no goroutine is left. It may be called again.
func (p *Proxy) Close() {
	p.ln.Close()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.ResetAll()
	p.wg.Wait()
}
