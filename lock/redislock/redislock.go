// Package redislock keeps leases on Redis: one server, a master that Sentinels watch, or a Cluster; whatever a
// [redis.UniversalClient] reaches but a [redis.Ring].
//
//	rdb := redis.NewClient(&redis.Options{Addr: "localhost:6379", ContextTimeoutEnabled: true})
//	locks := lock.New(redislock.New(rdb, nil), nil)
//
// Every request is one script, a free acquire and a release are one request each, and a release hands over to the next
// waiter and pushes the grant to it: 0 requests from there to holding. Leases are renewed in one pipeline.
//
// # Guarantees
//
// One holder while the server keeps its data ([lock.SingleNode]) or, where replicas can take over, while no
// acknowledged write is lost ([lock.AsyncReplicated]). After a restart without persistence, FLUSHALL, or a failover
// that lost the grant, two may hold until the first one's next renewal; their tokens differ and grow, also then, since
// a token is at least the server's time in microseconds.
//
// # Limits
//
// A server clock that steps forward by more than the margin ends leases early; one that steps back keeps dead ones for
// longer. Values are limited to 64 KiB. A request that meets others costs time in proportion to the holders of its name, one
// that has to wait, to its waiters; a watch reads its whole directory, waiters and values too. What crashed claims leave
// in a directory goes when the name is used again or the directory is watched.
//
// A waiter whose push connection is down is passed over until it is back; on Redis Cluster, where that cannot be seen, its
// grant waits for its next renewal, at most a third of its TTL. Redis 5 or later is needed, and a user that is restricted
// by ACLs needs the keys and channels of the prefix. A copy of an acquire that a network delivers after the release of its
// lease, and after another release in the same directory, holds until its TTL ends, and nobody knows of it.
//
// Set ContextTimeoutEnabled in the options of the client: without it go-redis minds no deadlines, so that a goroutine
// has to wait in place of each call, at about the cost of the call. Calls return when their context ends either way.
//
// # Keys
//
// A bare name has the hash <prefix>n:{<name>}, a directory with all its claims <prefix>d:{<dir>}, names escaped as by
// [url.QueryEscape]. They expire two hours after their last use. Channels are <prefix>push:<client>, one for each
// Backend, and <prefix>w:{<dir>}.
package redislock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concordkit/concord/lock"
)

const maxValue = 64 << 10

// Options configure [New]. A nil *Options means the defaults.
type Options struct {
	// Prefix starts every key and channel. Lockers exclude each other when they have the same. It defaults to
	// "concord:lock:".
	Prefix string
	// MinReplicas is how many replicas must have a grant before it counts: each acquire and renewal is followed by WAIT,
	// for at most a sixth of the TTL, and fails with [ErrNotReplicated], or is not counted, when fewer have it. That
	// makes it less likely that a failover loses a grant, and does not rule it out. A grant that is pushed is asked for
	// once more. It defaults to 0, none.
	MinReplicas int
}

// ErrNotReplicated reports a grant that fewer replicas have than [Options].MinReplicas demands.
var ErrNotReplicated = errors.New("redislock: not enough replicas")

// Backend keeps leases on Redis. It has a subscription connection and a goroutine for it while claims wait or watches
// run, and for 10 s after.
type Backend struct {
	rdb     redis.UniversalClient
	prefix  string
	counted string // "1" where a server knows all receivers of a channel
	min     int    // replicas that must have a grant
	heeds   lock.Heed
	link    *link
	err     error
}

// New returns a Backend that keeps leases in rdb, which stays the caller's. A nil client and a *redis.Ring, whose
// servers do not share channels, are reported by every call.
func New(rdb redis.UniversalClient, o *Options) *Backend {
	if o == nil {
		o = new(Options)
	}
	b := &Backend{rdb: rdb, prefix: cmp.Or(o.Prefix, "concord:lock:"), counted: "1"}
	if v := reflect.ValueOf(rdb); rdb == nil || v.Kind() == reflect.Pointer && v.IsNil() {
		b.err = fmt.Errorf("redislock: %w: nil client", lock.ErrInvalid)
	}
	switch c := rdb.(type) {
	case *redis.Client:
		b.heeds = heeds(b.err == nil && c.Options().ContextTimeoutEnabled)
	case *redis.Ring:
		b.err = fmt.Errorf("redislock: %w: a redis.Ring spreads keys and channels over servers that do not know each other", lock.ErrInvalid)
	case *redis.ClusterClient:
		b.counted = "0"
		b.heeds = heeds(b.err == nil && c.Options().ContextTimeoutEnabled)
	}
	if b.min = o.MinReplicas; b.min < 0 {
		b.err = fmt.Errorf("redislock: %w: MinReplicas %d: want 0 or more", lock.ErrInvalid, b.min)
	}
	b.link = newLink(rdb, b.prefix, b.min > 0)
	return b
}

func heeds(deadlines bool) lock.Heed {
	if deadlines {
		return lock.HeedsDeadline
	}
	return lock.HeedsNothing
}

// Info implements lock.Backend. It asks the server for its replicas, and assumes some where it may not.
func (b *Backend) Info(ctx context.Context) (lock.Info, error) {
	info := lock.Info{Guarantee: lock.AsyncReplicated, Granularity: time.Millisecond, MaxValue: maxValue, Heeds: b.heeds}
	if b.err != nil {
		return info, b.err
	}
	if b.counted == "0" {
		return info, nil
	}
	reply, err := b.rdb.Info(ctx, "replication").Result()
	if err != nil && !isReply(err) {
		return info, fmt.Errorf("redislock: info: %w", err)
	}
	if strings.Contains(reply, "role:master") && strings.Contains(reply, "connected_slaves:0") {
		info.Guarantee = lock.SingleNode
	}
	return info, nil
}

// Acquire implements lock.Backend.
func (b *Backend) Acquire(ctx context.Context, c lock.Claim, notify func(lock.State)) (lock.State, error) {
	if err := b.check(c); err != nil {
		return lock.State{}, err
	}
	if c.NoWait {
		return b.acquire(ctx, c)
	}
	if !b.link.up() {
		// Without a push connection try first: a free name needs none.
		try := c
		try.NoWait = true
		if st, err := b.acquire(ctx, try); err != nil || st.Phase != lock.Queued {
			return st, err
		}
	}
	if err := b.link.await(ctx, c.ID, notify); err != nil {
		return lock.State{}, fail("acquire", c, err)
	}
	st, err := b.acquire(ctx, c)
	if err != nil || st.Phase != lock.Queued {
		b.link.forget(c.ID)
	}
	return st, err
}

// check keeps out what would break a record. A Locker's claims pass.
func (b *Backend) check(c lock.Claim) error {
	switch {
	case b.err != nil:
		return b.err
	case c.ID == "" || strings.ContainsFunc(c.ID, notAlphanumeric):
		return fail("take", c, fmt.Errorf("%w: ID %.40q: want letters and digits", lock.ErrInvalid, c.ID))
	case c.Weight < 1 || c.Weight > c.Capacity || c.Capacity > lock.All:
		return fail("take", c, fmt.Errorf("%w: weight %d of %d: want 1 to the capacity, at most %d",
			lock.ErrInvalid, c.Weight, c.Capacity, lock.All))
	}
	return nil
}

func notAlphanumeric(r rune) bool {
	return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
}

func (b *Backend) acquire(ctx context.Context, c lock.Claim) (lock.State, error) {
	noWait := "0"
	if c.NoWait {
		noWait = "1"
	}
	args := b.args(c, c.TTL.Microseconds(), c.Weight, c.Capacity, noWait, b.link.client, c.Value)
	if b.min > 0 {
		return b.acquireReplicated(ctx, c, args)
	}
	reply, err := acquire.Run(ctx, b.rdb, b.keys(c), args...).Result()
	return answer("acquire", c, reply, err)
}

// Release implements lock.Backend.
func (b *Backend) Release(ctx context.Context, c lock.Claim) (bool, error) {
	if err := b.check(c); err != nil {
		return false, err
	}
	defer b.link.forget(c.ID) // last: an acquire under way has been answered or will be refused
	was, err := release.Run(ctx, b.rdb, b.keys(c), b.args(c, c.TTL.Microseconds())...).Bool()
	return was, fail("release", c, err)
}

// SetValue implements lock.Backend.
func (b *Backend) SetValue(ctx context.Context, c lock.Claim) (bool, error) {
	if err := b.check(c); err != nil {
		return false, err
	}
	held, err := setValue.Run(ctx, b.rdb, b.keys(c), b.args(c, c.Value)...).Bool()
	return held, fail("set the value of", c, err)
}

func (b *Backend) keys(c lock.Claim) []string {
	if c.Dir != "" {
		return []string{b.dirKey(c.Dir)}
	}
	return []string{b.prefix + "n:{" + url.QueryEscape(c.Name) + "}"}
}

func (b *Backend) dirKey(dir string) string { return b.prefix + "d:{" + url.QueryEscape(dir) + "}" }

func (b *Backend) dirChannel(dir string) string {
	if dir == "" {
		return ""
	}
	return b.prefix + "w:{" + url.QueryEscape(dir) + "}"
}

// args returns the arguments that all scripts of a line take, and more.
func (b *Backend) args(c lock.Claim, more ...any) []any {
	name := c.Name
	if c.Dir == "" {
		name = "" // the key says it
	}
	return append([]any{name, c.ID, b.link.prefix, b.dirChannel(c.Dir), b.counted}, more...)
}

// answer reads what acquire and renew reply.
func answer(verb string, c lock.Claim, reply any, err error) (lock.State, error) {
	if err != nil {
		return lock.State{}, fail(verb, c, err)
	}
	st, err := decodeState(reply)
	if err != nil {
		return lock.State{}, fail(verb, c, err)
	}
	return st, nil
}
