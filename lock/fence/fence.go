// Package fence is the resource's side of a lock: it refuses writes that carry the token of an earlier holder.
//
// A holder that was stopped for longer than its lease may still believe in it and write. No lock can prevent that; the
// resource can, by remembering the highest [lock.Token] it has seen. In this process a [Guard] does so, in a SQL
// database a [Column]; redislock has fenced writes for Redis.
//
// Martin Kleppmann, "How to do distributed locking" (2016), tells the story; Chubby calls the token a sequencer.
package fence

import (
	"errors"
	"fmt"
	"sync"

	"github.com/concordkit/concord/lock"
)

// ErrStale reports a token below one that the resource has seen: the write came from an earlier holder.
var ErrStale = errors.New("fence: stale token")

// Guard refuses stale tokens in this process. The zero Guard is ready, its methods may be called concurrently, and it
// must not be copied. It remembers one number for each name, for ever.
type Guard struct {
	mu    sync.Mutex
	names map[string]*mark
}

// mark is the highest token of a name. Its mutex is held while a write runs.
type mark struct {
	mu    sync.Mutex
	token lock.Token
}

// Do runs write if no higher token was seen for name, and one write at a time for each name, so that no later holder's
// can come in between. Otherwise it returns an error that wraps [ErrStale]. A token is seen even if write fails.
func (g *Guard) Do(name string, t lock.Token, write func() error) error {
	if t == 0 {
		return fmt.Errorf("fence: token 0 for %q: %w", name, lock.ErrInvalid)
	}
	m := g.mark(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	if t < m.token {
		return fmt.Errorf("%w: %d for %q, which has seen %d", ErrStale, t, name, m.token)
	}
	m.token = t
	return write()
}

func (g *Guard) mark(name string) *mark {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.names == nil {
		g.names = make(map[string]*mark)
	}
	if g.names[name] == nil {
		g.names[name] = new(mark)
	}
	return g.names[name]
}
