package lab

import (
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

func startRedis(addr, _ string) (string, func(), error) {
	m := miniredis.NewMiniRedis()
	if err := m.StartAddr(addr); err != nil {
		return "", nil, err
	}
	m.Server().SetPreHook((&ager{mini: m, last: time.Now()}).age)
	return m.Addr(), m.Close, nil
}

// ager makes TTLs elapse, which miniredis leaves to its users: before each command all keys grow older by the time since
// the one before. A ticker would take too much from a key that was set just before a late tick.
type ager struct {
	mini *miniredis.Miniredis
	mu   sync.Mutex
	last time.Time
}

func (a *ager) age(*server.Peer, string, ...string) bool {
	// The commands of a script come by here while it holds this lock, and take no time. Whoever else has it has done
	// what is left undone here.
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
