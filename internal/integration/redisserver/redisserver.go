// Package redisserver gives tests a Redis of their own: a real redis-server as a subprocess, or, where there is none
// and a test needs no more than its semantics, miniredis in its place.
//
// The real server listens on a Unix socket in a directory of its own, so no port is guessed and any number run side by
// side. Clients that speak TCP go through a [faultproxy.Proxy] each, which gives every simulated process a link of its
// own to break. The server dies with the test binary; on Linux even when that is killed.
//
// With redis in the list CONCORD_REQUIRE, a missing server fails every test that asks for one. A package says once per
// run what its tests had:
//
//	func TestMain(m *testing.M) {
//		redisserver.Report()
//		goleak.VerifyTestMain(m)
//	}
package redisserver

import (
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/internal/integration/pause"
)

// Server is a running Redis, or its stand-in. Pause, Resume, Kill and Restart are for one goroutine at a time and only
// for a real server: they fail the test of a stand-in.
type Server struct {
	t             testing.TB
	network, addr string
	proc          *process             // nil for a stand-in
	mini          *miniredis.Miniredis // nil for a real server
}

// Start runs a redis-server without persistence until t ends. Args are added to its command line and win over the
// defaults. Where there is no redis-server it skips t, or fails it, as [Require] does.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	Require(t)
	p := newProcess(tempDir(t), args)
	s, err := launch(t, p)
	if err != nil {
		t.Fatalf("redisserver: %v\n%s", err, p.output())
	}
	return s
}

// StartOrMini runs a real server like [Start] if it can, and else a stand-in, which ignores args.
func StartOrMini(t testing.TB, args ...string) *Server {
	t.Helper()
	if installed() || required() {
		return Start(t, args...)
	}
	return StartMini(t)
}

// Proxy returns a new link to the server, with faults of its own, that lasts until t ends.
func (s *Server) Proxy(t testing.TB) *faultproxy.Proxy {
	t.Helper()
	return faultproxy.New(t, s.network, s.addr)
}

// Pause stops the process where it is, with its connections open, as a long garbage collection or a frozen virtual
// machine would.
func (s *Server) Pause() {
	s.t.Helper()
	s.check(pause.Stop(s.real("Pause").cmd.Process))
}

// Resume ends a Pause. The server then serves what has arrived meanwhile.
func (s *Server) Resume() {
	s.t.Helper()
	s.check(pause.Resume(s.real("Resume").cmd.Process))
}

// Kill ends the process at once, as a crash does. What it had not written to disk is gone.
func (s *Server) Kill() {
	s.t.Helper()
	s.real("Kill").kill()
}

// Restart kills the server if it runs and starts it again with the same arguments, directory and address.
func (s *Server) Restart() {
	s.t.Helper()
	p := s.real("Restart")
	p.kill()
	s.check(p.run())
}

// Log returns what the server has logged since Start, across restarts. A stand-in logs nothing.
func (s *Server) Log() string {
	if s.proc == nil {
		return ""
	}
	return s.proc.output()
}

func (s *Server) real(method string) *process {
	s.t.Helper()
	if s.proc == nil {
		s.t.Fatalf("redisserver: %s needs a real server: use Start", method)
	}
	return s.proc
}

func (s *Server) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Errorf("redisserver: %v\n%s", err, s.Log())
	}
}
