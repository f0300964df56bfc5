package redisserver

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
)

// Servers that have to find each other listen on TCP too. Their ports lie below the range that systems give to clients,
// and leave room for the cluster bus, 10,000 above.
const (
	minPort, maxPort = 20000, 22700
	busOffset        = 10000
	portTries        = 50
)

// startTCP runs a server that also listens on a TCP port of 127.0.0.1. A port that another process takes in the last
// moment costs another try.
func startTCP(t testing.TB, args ...string) (*Server, int) {
	t.Helper()
	Require(t)
	for range portTries {
		port := minPort + rand.IntN(maxPort-minPort)
		if !free(port) || !free(port+busOffset) {
			continue
		}
		dir := tempDir(t)
		p := newProcess(dir, append([]string{"--port", strconv.Itoa(port), "--bind", "127.0.0.1"}, args...))
		s, err := launch(t, p)
		if err == nil {
			return s, port
		}
		if !strings.Contains(p.output(), "Address already in use") {
			t.Fatalf("redisserver: %v\n%s", err, p.output())
		}
	}
	t.Fatalf("redisserver: no free port between %d and %d", minPort, maxPort)
	return nil, 0
}

func free(port int) bool {
	ln, err := net.Listen("tcp", addr(port))
	if err != nil {
		return false
	}
	return ln.Close() == nil
}

func addr(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// tempDir is short, for the socket's path, and outlives the process in it.
func tempDir(t testing.TB) string {
	dir, err := os.MkdirTemp("", "redis")
	if err != nil {
		t.Fatalf("redisserver: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// launch runs p until t ends.
func launch(t testing.TB, p *process) (*Server, error) {
	t.Cleanup(p.kill)
	if err := p.run(); err != nil {
		return nil, err
	}
	return &Server{t: t, network: "unix", addr: p.socket, proc: p}, nil
}
