package faultproxy_test

import (
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/integration/faultproxy"
)

func TestLatency(t *testing.T) {
	p, client, server := connect(t)
	const latency = 50 * time.Millisecond
	p.Set(faultproxy.Faults{Latency: latency})
	start := time.Now()
	client.send("request")
	server.receives("request")
	server.send("reply")
	client.receives("reply")
	require.GreaterOrEqual(t, time.Since(start), 2*latency)
}

func TestLatencyOverlaps(t *testing.T) {
	p, client, server := connect(t)
	const latency, chunks = 200 * time.Millisecond, 100
	p.Set(faultproxy.Faults{Latency: latency})
	data := strings.Repeat("0123456789abcdef", chunks<<11) // 32 KiB each, the most that the proxy reads at once
	start := time.Now()
	client.send(data)
	server.receives(data)
	require.GreaterOrEqual(t, time.Since(start), latency)
	require.Less(t, time.Since(start), chunks/5*latency, "chunks wait for one another")
}

func TestJitterKeepsOrder(t *testing.T) {
	p, client, server := connect(t)
	p.Set(faultproxy.Faults{Jitter: 5 * time.Millisecond, Seed: 1})
	var want strings.Builder
	for i := range 500 {
		s := fmt.Sprintf("%d,", i)
		client.send(s)
		want.WriteString(s)
	}
	server.receives(want.String())
}

// logger keeps what a proxy logs.
type logger struct {
	testing.TB
	lines []string
}

func (l *logger) Logf(format string, args ...any) {
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

func TestJitterTellsSeed(t *testing.T) {
	log := &logger{TB: t}
	p := faultproxy.New(log, "tcp", "")
	p.Set(faultproxy.Faults{Latency: time.Second})
	require.Empty(t, log.lines)
	p.Set(faultproxy.Faults{Jitter: time.Second})
	p.Set(faultproxy.Faults{Jitter: time.Minute})
	require.Len(t, log.lines, 1, "a seed is told once")
	require.NotContains(t, log.lines[0], "seed 0")
	p.Set(faultproxy.Faults{Jitter: time.Second, Seed: 42})
	require.Len(t, log.lines, 2)
	require.Contains(t, log.lines[1], "seed 42")
}

func TestRefuse(t *testing.T) {
	p, client, server := connect(t)
	p.Set(faultproxy.Faults{Refuse: true})
	refused(t, p)
	client.send("open ones stay")
	server.receives("open ones stay")
}

func TestResetAll(t *testing.T) {
	p, client, server := connect(t)
	client.send("request")
	server.receives("request") // the proxy knows that it is connected
	p.Set(faultproxy.Faults{BlackholeUp: true, BlackholeDown: true})
	client.send("held")
	p.ResetAll()
	require.ErrorIs(t, client.ends(), syscall.ECONNRESET)
	require.ErrorIs(t, server.ends(), syscall.ECONNRESET)
}

func TestCutPeer(t *testing.T) {
	ln := listen(t)
	p := faultproxy.New(t, "tcp", ln.Addr().String())
	p.SetIdentify(func(first []byte) string {
		name, _, ok := strings.Cut(string(first), "\n")
		if !ok {
			return ""
		}
		return name
	})
	p.CutPeer("alice", true)

	alice := dial(t, p)
	toAlice := accept(t, ln)
	alice.send("ali")
	toAlice.receives("ali")
	alice.send("ce\n")
	toAlice.hearsNothing()
	toAlice.send("hello alice")
	alice.hearsNothing()

	bob := dial(t, p)
	toBob := accept(t, ln)
	bob.send("bob\n")
	toBob.receives("bob\n")
	toBob.send("hello bob")
	bob.receives("hello bob")

	p.CutPeer("alice", false)
	toAlice.receives("ce\n")
	alice.receives("hello alice")
	p.CutPeer("bob", true)
	require.NoError(t, bob.CloseWrite())
	toBob.hearsNothing()
	p.Heal()
	require.Equal(t, io.EOF, toBob.ends())
}
