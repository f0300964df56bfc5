package faultproxy_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/concordkit/concord/internal/integration/faultproxy"
)

const (
	patience = 30 * time.Second       // for what must happen
	glance   = 100 * time.Millisecond // for what must not
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peer is one end of a forwarded connection.
type peer struct {
	t testing.TB
	*net.TCPConn
}

func (p peer) send(s string) {
	p.t.Helper()
	_, err := io.WriteString(p, s)
	require.NoError(p.t, err)
}

func (p peer) receives(want string) {
	p.t.Helper()
	require.NoError(p.t, p.SetReadDeadline(time.Now().Add(patience)))
	got := make([]byte, len(want))
	_, err := io.ReadFull(p, got)
	require.NoError(p.t, err)
	require.Equal(p.t, want, string(got))
}

// ends waits for the error that ends the stream.
func (p peer) ends() error {
	p.t.Helper()
	require.NoError(p.t, p.SetReadDeadline(time.Now().Add(patience)))
	n, err := p.Read(make([]byte, 1))
	require.Zero(p.t, n, "unexpected data")
	return err
}

func (p peer) hearsNothing() {
	p.t.Helper()
	require.NoError(p.t, p.SetReadDeadline(time.Now().Add(glance)))
	_, err := p.Read(make([]byte, 1))
	require.ErrorIs(p.t, err, os.ErrDeadlineExceeded)
}

func (p peer) reset() {
	p.t.Helper()
	require.NoError(p.t, p.SetLinger(0))
	require.NoError(p.t, p.Close())
}

func listen(t testing.TB) *net.TCPListener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	return ln.(*net.TCPListener)
}

func dial(t testing.TB, p *faultproxy.Proxy) peer {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return peer{t, c.(*net.TCPConn)}
}

func accept(t testing.TB, ln *net.TCPListener) peer {
	t.Helper()
	require.NoError(t, ln.SetDeadline(time.Now().Add(patience)))
	c, err := ln.AcceptTCP()
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return peer{t, c}
}

// refused checks that p resets a new connection: late enough for the client to have it, or while it still dials.
func refused(t testing.TB, p *faultproxy.Proxy) {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err == nil {
		defer c.Close()
		err = peer{t, c.(*net.TCPConn)}.ends()
	}
	require.ErrorIs(t, err, syscall.ECONNRESET)
}

// connect returns a proxy and both ends of a connection through it.
func connect(t testing.TB) (p *faultproxy.Proxy, client, server peer) {
	t.Helper()
	ln := listen(t)
	p = faultproxy.New(t, "tcp", ln.Addr().String())
	return p, dial(t, p), accept(t, ln)
}

func TestForward(t *testing.T) {
	_, client, server := connect(t)
	client.send("request")
	server.receives("request")
	require.NoError(t, client.CloseWrite())
	require.Equal(t, io.EOF, server.ends(), "a half-closed connection still carries the reply")
	server.send("reply")
	require.NoError(t, server.Close())
	client.receives("reply")
	require.Equal(t, io.EOF, client.ends())
}

func TestSetTarget(t *testing.T) {
	p := faultproxy.New(t, "tcp", "")
	refused(t, p)

	ln := listen(t)
	p.SetTarget("tcp", ln.Addr().String())
	client := dial(t, p)
	server := accept(t, ln)

	socket := filepath.Join(t.TempDir(), "s")
	unix, err := net.Listen("unix", socket)
	require.NoError(t, err)
	defer unix.Close()
	p.SetTarget("unix", socket)
	moved := dial(t, p)
	other, err := unix.Accept()
	require.NoError(t, err)
	defer other.Close()
	_, err = io.WriteString(other, "moved")
	require.NoError(t, err)
	moved.receives("moved")

	client.send("stayed")
	server.receives("stayed")
}

func TestClose(t *testing.T) {
	p, client, server := connect(t)
	client.send("a")
	server.receives("a")
	p.Set(faultproxy.Faults{BlackholeUp: true, Latency: time.Hour})
	client.send("held")
	p.Close()
	require.ErrorIs(t, client.ends(), syscall.ECONNRESET)
	require.ErrorIs(t, server.ends(), syscall.ECONNRESET)
	_, err := net.Dial("tcp", p.Addr())
	require.Error(t, err)
	p.Close()
}
