package faultproxy_test

import (
	"bytes"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/integration/faultproxy"
)

func TestBlackhole(t *testing.T) {
	for name, c := range map[string]struct {
		faults   faultproxy.Faults
		up, down bool
	}{
		"up":   {faultproxy.Faults{BlackholeUp: true}, true, false},
		"down": {faultproxy.Faults{BlackholeDown: true}, false, true},
		"both": {faultproxy.Faults{BlackholeUp: true, BlackholeDown: true}, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			p, client, server := connect(t)
			p.Set(c.faults)
			client.send("request")
			server.send("reply")
			arrives(server, "request", !c.up)
			arrives(client, "reply", !c.down)
			p.Heal()
			arrives(server, "request", c.up)
			arrives(client, "reply", c.down)
		})
	}
}

func arrives(p peer, data string, want bool) {
	p.t.Helper()
	if want {
		p.receives(data)
	} else {
		p.hearsNothing()
	}
}

func TestBlackholeHoldsEnds(t *testing.T) {
	t.Run("fin", func(t *testing.T) {
		p, client, server := connect(t)
		p.Set(faultproxy.Faults{BlackholeUp: true})
		require.NoError(t, client.CloseWrite())
		server.hearsNothing()
		p.Heal()
		require.Equal(t, io.EOF, server.ends())
	})
	t.Run("reset by the client", func(t *testing.T) {
		p, client, server := connect(t)
		p.Set(faultproxy.Faults{BlackholeUp: true})
		client.reset()
		server.hearsNothing()
		p.Heal()
		require.ErrorIs(t, server.ends(), syscall.ECONNRESET)
	})
	t.Run("reset by the server", func(t *testing.T) {
		p, client, server := connect(t)
		p.Set(faultproxy.Faults{BlackholeDown: true})
		server.reset()
		client.hearsNothing()
		p.Heal()
		require.ErrorIs(t, client.ends(), syscall.ECONNRESET)
	})
}

// A writer that meets a dead client must not tell the server behind the back of the hole.
func TestBlackholeHoldsFailedWrite(t *testing.T) {
	p, client, server := connect(t)
	p.Set(faultproxy.Faults{BlackholeUp: true})
	require.NoError(t, client.Close())
	for range 3 { // the first one draws the RST that makes a later one fail
		server.send("to nobody")
		server.hearsNothing()
	}
	p.Heal()
	require.Equal(t, io.EOF, server.ends(), "the FIN comes first")
	require.Eventually(t, func() bool {
		_, err := server.Write([]byte("x"))
		return err != nil
	}, patience, time.Millisecond, "then the reset")
}

func TestBlackholeHoldsRefusal(t *testing.T) {
	p := faultproxy.New(t, "tcp", "")
	p.Set(faultproxy.Faults{BlackholeDown: true})
	client := dial(t, p)
	client.hearsNothing()
	p.Heal()
	require.ErrorIs(t, client.ends(), syscall.ECONNRESET)
}

func TestBlackholeHoldsDelayedBytes(t *testing.T) {
	p, client, server := delayed(t)
	p.Set(faultproxy.Faults{BlackholeUp: true})
	server.hearsNothing()
	p.Heal()
	server.receives("late")
	client.send("after")
	server.receives("after")
}

func TestHealReleasesDelayedBytes(t *testing.T) {
	p, _, server := delayed(t)
	p.Heal()
	server.receives("late")
}

// delayed returns a connection whose proxy has read a chunk from the client that will not be due.
func delayed(t *testing.T) (p *faultproxy.Proxy, client, server peer) {
	ln := listen(t)
	p = faultproxy.New(t, "tcp", ln.Addr().String())
	read := make(chan struct{}, 1)
	p.SetIdentify(func([]byte) string {
		read <- struct{}{}
		return "client"
	})
	p.Set(faultproxy.Faults{Latency: time.Hour})
	client, server = dial(t, p), accept(t, ln)
	client.send("late")
	<-read
	return p, client, server
}

// A hole holds a bounded amount, then the sender's writes block, and not a byte is lost.
func TestBlackholeIsBounded(t *testing.T) {
	p, client, server := connect(t)
	p.Set(faultproxy.Faults{BlackholeUp: true})
	sent := 0
	block := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	for {
		require.NoError(t, client.SetWriteDeadline(time.Now().Add(glance)))
		n, err := client.Write(block[sent%len(block):])
		sent += n
		if err != nil {
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			break
		}
		require.Less(t, sent, 256<<20, "the hole takes everything")
	}
	require.NoError(t, client.CloseWrite())
	p.Heal()
	require.NoError(t, server.SetReadDeadline(time.Now().Add(patience)))
	got, err := io.ReadAll(server)
	require.NoError(t, err)
	require.Len(t, got, sent)
	for len(got) > 0 {
		n := min(len(got), len(block))
		require.True(t, bytes.Equal(block[:n], got[:n]), "bytes changed on the way")
		got = got[n:]
	}
}
