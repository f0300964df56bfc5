package locks

import (
	"context"
	"sync"
	"time"
)

// memory is as much of Redis as the obvious lock uses.
type memory struct {
	ttl  time.Duration
	mu   sync.Mutex
	ends map[string]time.Time
}

func newMemory(ttl time.Duration) *memory { return &memory{ttl: ttl, ends: map[string]time.Time{}} }

func (m *memory) SetNX(_ context.Context, key, _ string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Now().Before(m.ends[key]) {
		return false, nil
	}
	m.ends[key] = time.Now().Add(m.ttl)
	return true, nil
}

func (m *memory) Del(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.ends, key)
	return nil
}
