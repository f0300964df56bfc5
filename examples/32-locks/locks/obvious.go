package locks

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// store is what the obvious lock needs: SET key owner NX PX ttl, and DEL key.
type store interface {
	SetNX(ctx context.Context, key, owner string, ttl time.Duration) (bool, error)
	Del(ctx context.Context, key string) error
}

const key = "example:account-7"

// obvious is the lock that everybody writes first. Do not copy it.
func obvious(ctx context.Context, out io.Writer, s store) error {
	balance := 100
	take := func(who string) error {
		ok, err := s.SetNX(ctx, key, who, ttl)
		if err == nil && !ok {
			err = fmt.Errorf("%s: the account is locked", who)
		}
		if err == nil {
			fmt.Fprintf(out, "  %s locks the account and reads %d\n", who, balance)
		}
		return err
	}
	if err := take("A"); err != nil {
		return err
	}
	read := balance
	fmt.Fprintln(out, "  A is paused for longer than the TTL: a collection, a slow disk, a laptop's lid")
	time.Sleep(ttl + 50*time.Millisecond)
	if err := take("B"); err != nil {
		return err
	}
	fmt.Fprintln(out, "  A goes on, knows nothing, and deletes the lock: it was B's")
	if err := s.Del(ctx, key); err != nil {
		return err
	}
	if err := take("C"); err != nil { // B still believes in its lock
		return err
	}
	balance += 50
	fmt.Fprintf(out, "  C adds 50, the balance is %d; B holds as well and may write at any moment\n", balance)
	balance = read - 10
	fmt.Fprintf(out, "  A writes what it worked out before the pause: %d. C's 50 are lost\n", balance)
	return s.Del(ctx, key)
}

// onRedis is the real thing.
type onRedis struct{ rdb *redis.Client }

func (r onRedis) SetNX(ctx context.Context, key, owner string, ttl time.Duration) (bool, error) {
	_, err := r.rdb.SetArgs(ctx, key, owner, redis.SetArgs{Mode: "NX", TTL: ttl}).Result()
	if err == redis.Nil {
		return false, nil
	}
	return err == nil, err
}

func (r onRedis) Del(ctx context.Context, key string) error { return r.rdb.Del(ctx, key).Err() }

// memory is as much of Redis as the obvious lock uses.
type memory struct {
	mu   sync.Mutex
	ends map[string]time.Time
}

func newMemory() *memory { return &memory{ends: map[string]time.Time{}} }

func (m *memory) SetNX(_ context.Context, key, _ string, ttl time.Duration) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Now().Before(m.ends[key]) {
		return false, nil
	}
	m.ends[key] = time.Now().Add(ttl)
	return true, nil
}

func (m *memory) Del(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.ends, key)
	return nil
}
