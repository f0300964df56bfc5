package faultproxy_test

import (
	"net"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/integration/faultproxy"
)

// A stream may join what was written apart; a socket of packets shows each write.
func TestChunk(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unixpacket", socket)
	require.NoError(t, err)
	defer ln.Close()
	p := faultproxy.New(t, "unixpacket", socket)
	p.Set(faultproxy.Faults{Chunk: 3})
	client := dial(t, p)
	server, err := ln.Accept()
	require.NoError(t, err)
	defer server.Close()
	client.send("0123456789")
	buf := make([]byte, 16)
	for _, want := range []string{"012", "345", "678", "9"} {
		n, err := server.Read(buf)
		require.NoError(t, err)
		require.Equal(t, want, string(buf[:n]))
	}
}
