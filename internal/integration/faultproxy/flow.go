package faultproxy

import (
	"bytes"
	"io"
	"net"
	"time"
)

const (
	chunkSize = 32 << 10
	// inFlight bounds the chunks that one direction of a connection keeps back, 16 MiB at most. Then the sender's
	// buffers fill up and its writes block, as they do on a network that delivers nothing.
	inFlight = 512
	// identifyLimit is enough for what a peer says of itself: NATS and etcd do within 1 KiB.
	identifyLimit = 4 << 10
)

// flow is one direction of a link. A reader stamps every chunk and a writer delivers it when its time has come, so
// that the delays of chunks overlap.
type flow struct {
	*link
	up       bool
	src, dst net.Conn
	queue    chan parcel
	back     *flow  // the other direction
	first    []byte // what the reader has kept for identify
}

// parcel is a chunk of data, or how the data ends: io.EOF stands for a FIN and other errors for a reset.
type parcel struct {
	data []byte
	err  error
	read time.Time
	luck float64 // what the chunk drew for its jitter
}

func (f *flow) read() {
	buf := make([]byte, chunkSize)
	for {
		n, err := f.src.Read(buf)
		if n > 0 {
			f.recognize(buf[:n])
			f.push(parcel{data: bytes.Clone(buf[:n])})
		}
		if err != nil {
			f.push(parcel{err: err})
			return
		}
	}
}

// recognize names the link as soon as its first bytes tell, before they are forwarded: a cut peer gets none through.
func (f *flow) recognize(b []byte) {
	f.p.mu.Lock()
	identify, peer := f.p.identify, f.peer
	f.p.mu.Unlock()
	room := identifyLimit - len(f.first)
	if !f.up || identify == nil || peer != "" || room == 0 {
		return
	}
	f.first = append(f.first, b[:min(room, len(b))]...)
	peer = identify(f.first)
	f.p.mu.Lock()
	f.peer = peer
	f.p.mu.Unlock()
}

func (f *flow) push(c parcel) {
	c.read, c.luck = time.Now(), f.p.draw()
	select {
	case f.queue <- c:
	case <-f.ctx.Done():
	}
}

func (p *Proxy) draw() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.random == nil {
		return 0
	}
	return p.random.Float64()
}

// write goes on after a FIN: a reset may follow.
func (f *flow) write() {
	for {
		select {
		case c := <-f.queue:
			f.deliver(c)
		case <-f.ctx.Done():
			return
		}
	}
}

// deliver asks for the faults before every piece, so that a black hole can open in the middle of a frame.
func (f *flow) deliver(c parcel) {
	for {
		faults, ok := f.await(c)
		switch {
		case !ok:
			return
		case c.err == io.EOF:
			f.fin()
			return
		case c.err != nil:
			f.end() // serve resets both ends
			return
		}
		b := faults.piece(c.data)
		if _, err := f.dst.Write(b); err != nil {
			// The destination is gone. The source hears of it the way any news from there travels: in order, late if
			// there is latency, and not at all through a black hole.
			f.back.push(parcel{err: err})
			<-f.ctx.Done()
			return
		}
		if c.data = c.data[len(b):]; len(c.data) == 0 {
			return
		}
	}
}

func (f *flow) fin() {
	if half, ok := f.dst.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	if f.fins.Add(1) == 2 {
		f.src.Close() // not a reset, which would drop what the kernel has still to send
		f.dst.Close()
		f.end()
	}
}

// await returns the faults in force once they let c pass, or false when the link is over.
func (f *flow) await(c parcel) (Faults, bool) {
	for {
		f.p.mu.Lock()
		faults, changed := f.p.faults, f.p.changed
		held := faults.hole(f.up) || f.p.cut[f.peer]
		f.p.mu.Unlock()
		wait := time.Until(c.read.Add(faults.delay(c.luck)))
		if !held && wait <= 0 {
			return faults, true
		}
		var due <-chan time.Time
		if wait > 0 {
			due = time.After(wait)
		}
		select {
		case <-due:
		case <-changed:
		case <-f.ctx.Done():
			return Faults{}, false
		}
	}
}
