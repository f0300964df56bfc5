package faultproxy

import (
	"context"
	"net"
	"sync/atomic"
	"time"
)

// link is a client's connection and the one to the target that belongs to it.
type link struct {
	p      *Proxy
	client net.Conn
	server net.Conn // guarded by p.mu; nil until dialled
	peer   string   // guarded by p.mu; empty until identified
	fins   atomic.Int32
	ctx    context.Context // the life of the link
	end    context.CancelFunc
}

func (p *Proxy) accept() {
	for {
		client, err := p.ln.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	l := &link{p: p, client: client}
	l.ctx, l.end = context.WithCancel(context.Background())
	defer p.remove(l)
	if !p.admit(l) {
		return
	}
	if server, err := l.dial(); err == nil {
		l.run(server)
		return
	}
	// That nobody listens is news from the target, and held like any other.
	(&flow{link: l}).await(parcel{read: time.Now()})
}

// admit makes l one of the open connections, unless the proxy refuses it.
func (p *Proxy) admit(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.links[l] = struct{}{}
	return !p.closed && !p.faults.Refuse
}

// remove resets what l has left open.
func (p *Proxy) remove(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.abort()
	delete(p.links, l)
}

func (l *link) dial() (net.Conn, error) {
	l.p.mu.Lock()
	network, target := l.p.network, l.p.target
	l.p.mu.Unlock()
	ctx, cancel := context.WithTimeout(l.ctx, dialTimeout)
	defer cancel()
	server, err := new(net.Dialer).DialContext(ctx, network, target)
	if err != nil {
		return nil, err
	}
	l.p.mu.Lock()
	l.server = server
	l.p.mu.Unlock()
	return server, nil
}

// run forwards both ways until both ends have said FIN or the link is aborted.
func (l *link) run(server net.Conn) {
	up := &flow{link: l, up: true, src: l.client, dst: server, queue: make(chan parcel, inFlight)}
	down := &flow{link: l, src: server, dst: l.client, queue: make(chan parcel, inFlight)}
	up.back, down.back = down, up
	for _, f := range []*flow{up, down} {
		l.p.wg.Go(f.read)
		l.p.wg.Go(f.write)
	}
	<-l.ctx.Done()
}

// abort resets what is still open of l. It runs under p.mu.
func (l *link) abort() {
	reset(l.client)
	if l.server != nil {
		reset(l.server)
	}
	l.end()
}

// reset closes c with a RST. Unix sockets have none: their peer reads an EOF.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	c.Close()
}
