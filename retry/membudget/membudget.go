// Package membudget keeps shared retry budgets in the memory of this process: for tests, for programs of one process, and
// as the reference for the other pools.
//
// # Guarantees
//
// Within the process no token is granted twice.
//
// # Limits
//
// Nothing is shared between processes, and nothing survives one. A bucket is kept as long as its [Pool].
//
// # Keys
//
// None: names are compared as they are.
package membudget

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/concordkit/concord/retry"
)

// Pool keeps buckets in memory. Its methods may be called concurrently.
type Pool struct {
	mu      sync.Mutex
	buckets map[string]*level
}

// level is in billionths of a token, so that a nanosecond brings a whole number of them.
type level struct {
	tokens int64
	at     time.Time
}

const token = int64(time.Second)

// New returns a Pool without buckets: each is full when it is first used.
func New() *Pool { return &Pool{buckets: make(map[string]*level)} }

// Take implements retry.Pool.
func (p *Pool) Take(ctx context.Context, b retry.Bucket, n int) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("membudget: take from %q: %w", b.Name, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.filled(b)
	n = int(min(int64(n), l.tokens/token))
	l.tokens -= int64(n) * token
	return n, nil
}

// Give implements retry.Pool.
func (p *Pool) Give(ctx context.Context, b retry.Bucket, n int) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("membudget: give to %q: %w", b.Name, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.filled(b)
	l.tokens = min(l.tokens+int64(n)*token, int64(b.Max)*token)
	return nil
}

// filled returns the bucket with what time has brought. The caller holds p.mu.
func (p *Pool) filled(b retry.Bucket) *level {
	full, now := int64(b.Max)*token, time.Now()
	l := p.buckets[b.Name]
	if l == nil {
		l = &level{tokens: full, at: now}
		p.buckets[b.Name] = l
	}
	if rate := int64(b.PerSecond); rate > 0 {
		missing := max(0, full-l.tokens)
		// Compared first: the product of a long time would overflow.
		if passed := int64(now.Sub(l.at)); passed > missing/rate {
			l.tokens += missing
		} else {
			l.tokens += max(0, passed) * rate
		}
	}
	l.tokens, l.at = min(l.tokens, full), now
	return l
}
