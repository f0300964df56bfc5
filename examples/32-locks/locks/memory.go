package locks

import (
	"context"
	"sync"
	"time"

	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/memlock"
)

func openMemory() engine {
	b := memlock.New()
	return engine{
		commands: "SET NX and DEL",
		store:    &memory{ends: map[string]time.Time{}},
		connect:  func() lock.Backend { return b },
		ttl:      shortTTL,
		close:    func() {},
	}
}

// memory is as much of Redis as the obvious lock uses.
type memory struct {
	mu   sync.Mutex
	ends map[string]time.Time
}

func (m *memory) SetNX(_ context.Context, key, _ string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Now().Before(m.ends[key]) {
		return false, nil
	}
	m.ends[key] = time.Now().Add(shortTTL)
	return true, nil
}

func (m *memory) Del(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.ends, key)
	return nil
}
