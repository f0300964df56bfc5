package redisserver

import (
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

// StartMini runs a stand-in even where there is a real server, for a test that moves its clock.
func StartMini(t testing.TB) *Server {
	t.Helper()
	m := miniredis.RunT(t)
	m.Server().SetPreHook((&ager{mini: m, last: time.Now()}).age)
	return &Server{t: t, network: "tcp", addr: m.Addr(), mini: m}
}

// Mini returns the stand-in, and nil for a real server. SetTime moves what TIME says and leaves TTLs alone; they follow
// the machine's clock, and are looked at when a client sends a command. SetError stops them.
func (s *Server) Mini() *miniredis.Miniredis { return s.mini }

// ager makes the keys of a stand-in older before each command. Ticks of a timer would take too much from a key that was
// set just before a late one. The stand-in's own clock for TTLs would stop with SetTime.
type ager struct {
	mini *miniredis.Miniredis
	mu   sync.Mutex
	last time.Time
}

func (a *ager) age(*server.Peer, string, ...string) bool {
	// A script holds this lock while its commands come by here, and all of them take no time. Whoever else has it has
	// done what is left undone here.
	if !a.mini.TryLock() {
		return false
	}
	a.mini.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	a.mini.FastForward(now.Sub(a.last))
	a.last = now
	return false
}
