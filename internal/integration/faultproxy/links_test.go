package faultproxy_test

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/integration/faultproxy"
)

func TestLinks(t *testing.T) {
	var links faultproxy.Links
	var clients, servers []peer
	for range 2 {
		p, client, server := connect(t)
		links, clients, servers = append(links, p), append(clients, client), append(servers, server)
		client.send("request")
		server.receives("request")
	}
	require.Equal(t, []string{links[0].Addr(), links[1].Addr()}, links.Addrs())

	links.Set(faultproxy.Faults{BlackholeUp: true})
	for i := range links {
		clients[i].send("held")
		servers[i].hearsNothing()
	}
	links.Heal()
	for i := range links {
		servers[i].receives("held")
	}
	links.ResetAll()
	for i := range links {
		require.ErrorIs(t, clients[i].ends(), syscall.ECONNRESET)
		require.ErrorIs(t, servers[i].ends(), syscall.ECONNRESET)
	}
}

func TestResetPeer(t *testing.T) {
	ln := listen(t)
	p := faultproxy.New(t, "tcp", ln.Addr().String())
	p.SetIdentify(func(first []byte) string { return string(first) })
	alice := dial(t, p)
	toAlice := accept(t, ln)
	alice.send("alice")
	toAlice.receives("alice")
	bob := dial(t, p)
	toBob := accept(t, ln)
	bob.send("bob")
	toBob.receives("bob")

	p.CutPeer("alice", true)
	alice.send("held")
	p.ResetPeer("alice")
	require.ErrorIs(t, alice.ends(), syscall.ECONNRESET)
	require.ErrorIs(t, toAlice.ends(), syscall.ECONNRESET)
	bob.send("still there")
	toBob.receives("still there")
}
