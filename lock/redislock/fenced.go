package redislock

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/fence"
)

var (
	//go:embed fenced.lua
	fencedLua string
	fenced    = redis.NewScript(fencedLua)
)

// Fence writes keys of Redis with the token of the lease that covers them, and refuses writes with the token of an
// earlier holder. Beside each key it keeps a mark, the highest token seen, in the key <key>:fence, or fence:{<key>} for a
// key without a hash tag, so that both have one slot. Marks do not expire: a holder may come back after any time.
type Fence struct{ rdb redis.Scripter }

// NewFence returns a Fence for the keys of rdb.
func NewFence(rdb redis.Scripter) *Fence { return &Fence{rdb} }

// Set writes value to key unless a higher token was seen; then it returns an error that wraps [fence.ErrStale]. A ttl of
// 0 keeps the value for ever, others are at least a millisecond. An error that wraps [lock.ErrUnknownOutcome] may have
// written; repeating it is safe.
func (f *Fence) Set(ctx context.Context, key string, value any, ttl time.Duration, t lock.Token) error {
	if ttl != 0 && ttl < time.Millisecond {
		return fmt.Errorf("redislock: write %q: %w: TTL %v: want 0 or at least 1ms", key, lock.ErrInvalid, ttl)
	}
	return f.write(ctx, key, t, "set", value, ttl.Milliseconds())
}

// Del deletes key unless a higher token was seen, with the errors of Set. The mark stays.
func (f *Fence) Del(ctx context.Context, key string, t lock.Token) error {
	return f.write(ctx, key, t, "del", "", 0)
}

func (f *Fence) write(ctx context.Context, key string, t lock.Token, op string, value any, ttl int64) error {
	mark, ok := markKey(key)
	if !ok || t == 0 || t >= maxToken {
		return fmt.Errorf("redislock: write %q with token %d: %w: want a key without stray braces and a token below 2^53",
			key, t, lock.ErrInvalid)
	}
	seen, err := fenced.Run(ctx, f.rdb, []string{key, mark}, strconv.FormatUint(uint64(t), 10), op, value, ttl).Text()
	if err != nil {
		return fail("write", lock.Claim{Name: key}, err)
	}
	if seen != "" {
		return fmt.Errorf("redislock: write %q: %w: %d, and the key has seen %s", key, fence.ErrStale, t, seen)
	}
	return nil
}

// markKey returns a key in the slot of key.
func markKey(key string) (string, bool) {
	if _, tagged, ok := strings.Cut(key, "{"); ok {
		return key + ":fence", strings.IndexByte(tagged, '}') > 0
	}
	return "fence:{" + key + "}", key != "" && !strings.Contains(key, "}")
}
