// Package redisbudget keeps shared retry budgets on Redis: one server, a master that Sentinels watch, or a Cluster; whatever
// a [redis.UniversalClient] reaches but a [redis.Ring].
//
//	rdb := redis.NewClient(&redis.Options{Addr: "localhost:6379", ContextTimeoutEnabled: true})
//	budget, err := retry.NewSharedBudget(redisbudget.New(rdb, nil), "billing", nil)
//
// Each call is one script, and is sent once, whatever MaxRetries says: what is given back twice would be spent twice.
//
// # Guarantees
//
// No token is granted twice while the server keeps its acknowledged writes. A take whose answer is lost costs its tokens.
//
// # Limits
//
// A bucket that the server has lost is full: after a restart without persistence, FLUSHALL, an eviction, or a failover to a
// replica that lags behind, tokens may be granted once more. The server's clock fills the bucket: a step forward brings what
// that time would have brought.
//
// Calls return when their context ends. What go-redis does with the request then goes on for as long as the client's own
// time-outs let it, unless ContextTimeoutEnabled is set and the context has a deadline. Redis 5 or later is needed.
//
// # Keys
//
// A bucket is a string <prefix>{<name>}, its name escaped as by [url.QueryEscape]. It expires a minute after it would be
// full, and never where PerSecond is 0: such a key is for the caller to delete.
package redisbudget

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"net/url"
	"reflect"
	"time"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"

	"github.com/concordkit/concord/retry"
)

//go:embed bucket.lua
var bucketLua string

var bucketHash = redis.NewScript(bucketLua).Hash()

// What a [retry.Bucket] may have.
const (
	maxName   = 256
	maxTokens = 1_000_000
)

// Options configure [New]. A nil *Options means the defaults.
type Options struct {
	// Prefix starts every key. Pools share their buckets when they have the same. It defaults to "concord:budget:".
	Prefix string
}

// Pool keeps buckets on Redis. Its methods may be called concurrently.
type Pool struct {
	rdb    redis.UniversalClient
	prefix string
	err    error
}

// New returns a Pool that keeps buckets in rdb, which stays the caller's. It does no I/O. A nil client and a *redis.Ring,
// which looks for a bucket elsewhere when a server is gone, are reported by every call.
func New(rdb redis.UniversalClient, o *Options) *Pool {
	if o == nil {
		o = new(Options)
	}
	p := &Pool{rdb: rdb, prefix: cmp.Or(o.Prefix, "concord:budget:")}
	if v := reflect.ValueOf(rdb); rdb == nil || v.Kind() == reflect.Pointer && v.IsNil() {
		p.err = fmt.Errorf("%w: nil client", retry.ErrInvalid)
	} else if _, ok := rdb.(*redis.Ring); ok {
		p.err = fmt.Errorf("%w: a redis.Ring keeps a bucket on more than one server", retry.ErrInvalid)
	}
	return p
}

// Take implements retry.Pool. An error that wraps [retry.ErrInvalid] is bad input; any other leaves open whether tokens are
// lost.
func (p *Pool) Take(ctx context.Context, b retry.Bucket, n int) (int, error) {
	got, err := p.change(ctx, b, n, 1)
	if err != nil {
		return 0, fmt.Errorf("redisbudget: take from %q: %w", b.Name, err)
	}
	return got, nil
}

// Give implements retry.Pool. An error that wraps [retry.ErrInvalid] is bad input; any other leaves open whether the tokens
// are back.
func (p *Pool) Give(ctx context.Context, b retry.Bucket, n int) error {
	if _, err := p.change(ctx, b, n, -1); err != nil {
		return fmt.Errorf("redisbudget: give to %q: %w", b.Name, err)
	}
	return nil
}

// change takes n tokens where sign is 1, and gives them where it is -1.
func (p *Pool) change(ctx context.Context, b retry.Bucket, n, sign int) (int, error) {
	if err := cmp.Or(p.err, check(b, n)); err != nil {
		return 0, err
	}
	n = min(n, b.Max) // more is never there, nor fits
	return await(ctx, func() (int, error) { return p.run(ctx, b, sign*n) })
}

func check(b retry.Bucket, n int) error {
	switch {
	case b.Name == "" || len(b.Name) > maxName || !utf8.ValidString(b.Name):
		return fmt.Errorf("%w: Name %.40q: want 1 to %d bytes of UTF-8", retry.ErrInvalid, b.Name, maxName)
	case b.Max < 1 || b.Max > maxTokens:
		return fmt.Errorf("%w: Max %d: want 1 to %d", retry.ErrInvalid, b.Max, maxTokens)
	case b.PerSecond < 0 || b.PerSecond > maxTokens:
		return fmt.Errorf("%w: PerSecond %d: want 0 to %d", retry.ErrInvalid, b.PerSecond, maxTokens)
	case n < 1:
		return fmt.Errorf("%w: %d tokens: want 1 or more", retry.ErrInvalid, n)
	}
	return nil
}

// await returns what call does, or when ctx ends: go-redis minds no cancellation, and deadlines only if it is told to.
func await(ctx context.Context, call func() (int, error)) (int, error) {
	if ctx == nil {
		return 0, fmt.Errorf("%w: nil context", retry.ErrInvalid)
	}
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	type answer struct {
		got int
		err error
	}
	answered := make(chan answer, 1)
	go func() {
		got, err := call()
		answered <- answer{got, err}
	}()
	select {
	case a := <-answered:
		if end, ok := ctx.Deadline(); ok && a.err != nil && !time.Now().Before(end) {
			<-ctx.Done() // the connection's timer was a moment ahead
			return 0, fmt.Errorf("%w: %w", context.Cause(ctx), a.err)
		}
		return a.got, a.err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

func (p *Pool) run(ctx context.Context, b retry.Bucket, n int) (int, error) {
	got, err := p.send(ctx, "evalsha", bucketHash, b, n)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		return p.send(ctx, "eval", bucketLua, b, n)
	}
	return got, err
}

func (p *Pool) send(ctx context.Context, command, script string, b retry.Bucket, n int) (int, error) {
	cmd := redis.NewCmd(ctx, command, script, 1, p.key(b.Name), b.Max, b.PerSecond, n)
	if err := p.rdb.Process(ctx, once{cmd}); err != nil {
		return 0, err
	}
	return cmd.Int()
}

func (p *Pool) key(name string) string { return p.prefix + "{" + url.QueryEscape(name) + "}" }

// once is a command that the client does not repeat.
type once struct{ *redis.Cmd }

// NoRetry implements redis.Cmder.
func (once) NoRetry() bool { return true }
