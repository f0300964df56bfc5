// Package natsbudget keeps shared retry budgets in a key-value bucket of NATS JetStream.
//
//	kv, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "budgets", Replicas: 3})
//	…
//	budget, err := retry.NewSharedBudget(natsbudget.New(kv, nil), "billing", nil)
//
// A bucket of tokens is one value, which is read and replaced only if nobody else has replaced it meanwhile. The time that
// fills it is that of the server, as the messages' timestamps tell it.
//
// # Guarantees
//
// No token is granted twice while the stream keeps its acknowledged writes: with three replicas, also when a server is lost. A
// take whose answer is lost costs its tokens.
//
// JetStream acknowledges before it syncs to disk, unless its sync_interval is "always". A power loss that hits a majority at
// once can bring tokens back, and one that loses the key makes the bucket full. So does a restart of a bucket in memory.
//
// # Limits
//
// A take that finds all it asks for is 2 requests, and another is 3 or 4: it has to write to learn the time. Where others write
// to the same key it begins anew, up to 200 times, a few seconds, and then fails with [ErrContended]. A server clock that steps
// forward brings what that time would have brought; so may a new leader whose clock is ahead.
//
// Calls return when their context ends. A client that cannot write, since its connection is stuck and its buffers are full,
// keeps a goroutine until its FlusherTimeout, a minute by default. The key-value bucket must have no TTL, which would forget
// tokens that are spent; it is looked at once.
//
// # Keys
//
// The key of a bucket is <prefix><name>: letters, digits, - and _ are kept as they are, other bytes as =2F. It is kept for
// good: one that is no longer used is for the caller to delete.
package natsbudget

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/concordkit/concord/retry"
)

// What a [retry.Bucket] may have.
const (
	maxName   = 256
	maxTokens = 1_000_000
)

// ErrContended reports that others replaced the value before every try.
var ErrContended = errors.New("natsbudget: too many others write")

// Options configure [New]. A nil *Options means the defaults.
type Options struct {
	// Prefix starts every key. Pools share their buckets when they have the same. It is letters, digits, -, _, =, / and
	// inner dots, 128 bytes at most, and defaults to "budget.".
	Prefix string
}

const maxPrefix = 128

// Pool keeps buckets in a key-value bucket. Its methods may be called concurrently.
type Pool struct {
	kv      jetstream.KeyValue
	prefix  string
	err     error
	settled atomic.Bool // the settings of kv were looked at
}

// New returns a Pool that keeps buckets in kv, which stays the caller's. It does no I/O. A nil kv, a bad prefix and a TTL are
// reported by every call.
func New(kv jetstream.KeyValue, o *Options) *Pool {
	if o == nil {
		o = new(Options)
	}
	p := &Pool{kv: kv, prefix: cmp.Or(o.Prefix, "budget.")}
	if v := reflect.ValueOf(kv); kv == nil || v.Kind() == reflect.Pointer && v.IsNil() {
		p.err = fmt.Errorf("%w: nil KeyValue", retry.ErrInvalid)
	} else if len(p.prefix) > maxPrefix || p.prefix[0] == '.' || strings.Contains(p.prefix, "..") ||
		strings.ContainsFunc(p.prefix, notInPrefix) {
		p.err = fmt.Errorf("%w: Prefix %.40q: want letters, digits, -, _, =, / and inner dots, %d bytes at most",
			retry.ErrInvalid, p.prefix, maxPrefix)
	}
	return p
}

func notInPrefix(r rune) bool {
	return r >= utf8.RuneSelf || !plain(byte(r)) && !strings.ContainsRune("=/.", r)
}

// Take implements retry.Pool. An error that wraps [retry.ErrInvalid] is bad input; any other leaves open whether tokens are
// lost.
func (p *Pool) Take(ctx context.Context, b retry.Bucket, n int) (int, error) {
	got, err := await(ctx, func() (int, error) {
		if err := p.check(ctx, b, n); err != nil {
			return 0, err
		}
		return p.take(ctx, b, n)
	})
	if err != nil {
		return 0, fmt.Errorf("natsbudget: take from %q: %w", b.Name, err)
	}
	return got, nil
}

// Give implements retry.Pool. An error that wraps [retry.ErrInvalid] is bad input; any other leaves open whether the tokens
// are back.
func (p *Pool) Give(ctx context.Context, b retry.Bucket, n int) error {
	_, err := await(ctx, func() (int, error) {
		if err := p.check(ctx, b, n); err != nil {
			return 0, err
		}
		_, err := p.change(ctx, b, 0, func(l *level) bool { l.give(b, n); return true })
		return 0, err
	})
	if err != nil {
		return fmt.Errorf("natsbudget: give to %q: %w", b.Name, err)
	}
	return nil
}

// take writes at least once: only then is it certain that what was read is the last value, and only a message of our own
// says what time it is.
func (p *Pool) take(ctx context.Context, b retry.Bucket, n int) (int, error) {
	n = min(n, b.Max) // what comes meanwhile is not on top of a full bucket
	var got, more int
	revision, err := p.change(ctx, b, 0, func(l *level) bool { got = l.take(n); return true })
	if err != nil || got == n || b.PerSecond == 0 {
		return got, err
	}
	_, err = p.change(ctx, b, revision, func(l *level) bool { more = l.take(n - got); return more > 0 })
	return got + more, err
}

// check keeps out what would break a value or a key, and looks at the settings of the key-value bucket before its first use.
func (p *Pool) check(ctx context.Context, b retry.Bucket, n int) error {
	if err := cmp.Or(p.err, checkBucket(b, n)); err != nil || p.settled.Load() {
		return err
	}
	status, err := p.kv.Status(ctx)
	if err != nil {
		return err
	}
	if ttl := status.TTL(); ttl != 0 {
		return fmt.Errorf("%w: the key-value bucket %q has TTL %s: want 0, since it would forget what is spent",
			retry.ErrInvalid, status.Bucket(), ttl)
	}
	p.settled.Store(true)
	return nil
}

func checkBucket(b retry.Bucket, n int) error {
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

// await returns what call does, or when ctx ends: nats.go minds no context while it cannot write.
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
		return a.got, a.err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}
