// Package etcdlock keeps leases on etcd, side by side with the Mutex and the Election of etcd's own package concurrency.
//
//	cli, err := clientv3.New(clientv3.Config{
//		Endpoints:            endpoints, // of all members
//		DialKeepAliveTime:    10 * time.Second, // leaves a server that has gone silent
//		DialKeepAliveTimeout: 3 * time.Second,
//	})
//	…
//	locks := lock.New(etcdlock.New(cli, nil), nil)
//
// A claim is a key in the line of its name, ordered by create revision, which is also the token. The claims of a Backend
// whose TTLs come to the same seconds share an etcd lease.
//
// # Requests
//
// A free acquire takes one transaction. The first one of a TTL grants the etcd lease before, and so does one after a pause of
// a TTL; after a third of a TTL a keep-alive comes before. An acquire that waits takes a watch more, and one read where the
// server is busy with other writes; one in a long line two watches and a read. A release takes one request and hands over
// with no other one. A claim that does not wait takes up to two transactions more where others join its line and leave it room.
// A renewal of up to 128 claims takes a keep-alive and a transaction; a new value takes one. A watch takes one at each
// interval, and reads its directory by it. A member that has no leader, or does not answer within a sixth of the TTL, is given
// up for another one.
//
// # Guarantees
//
// One holder always ([lock.Consensus]) on a cluster of several members, while the server keeps its data
// ([lock.SingleNode]) on one. A renewal counts only once the leader that answered it is known to have led a majority
// afterwards: a leader that is cut off answers keep-alives for up to an election timeout longer, while its successor already
// lets etcd leases run out.
//
// # Interoperation
//
// A bare name has the layout of concurrency.NewMutex(session, "concord/lock/<name>"), the line of a directory itself
// that of concurrency.NewElection(session, "concord/dir/<dir>"), names escaped as by [url.QueryEscape]. They exclude ours and
// are excluded in turn, and Election.Leader shows our value. Any key of theirs counts as an exclusive claim, one without an
// etcd lease until it is deleted.
//
// # Limits
//
// TTLs are rounded up to whole seconds, and a server gives no less than one and a half of its election timeouts, 2 s by
// default, before a crashed holder's claim ends; it looks for dead leases every 500 ms. An etcd lease that is lost, or
// revoked by hand, takes all claims with it that share it. After Close the last one ends with its TTL.
//
// Values are limited to 64 KiB. The server must allow 128 operations in a transaction, as it does by default
// (--max-txn-ops). Where passwords are used, the client authenticates anew for each keep-alive, at the price of a bcrypt on
// the server. A place in a semaphore's line keeps the whole line before it in memory.
//
// # Keys
//
// A bare name has its claims under concord/lock/<name>/, the line of a directory itself under concord/dir/<dir>/, and names
// in a directory under concord/dir/=<dir>/<name>/: the claim's ID, followed by weight and capacity unless it is
// exclusive. An acquire that was given up on the wire leaves concord/lock/=gone/<id> until its etcd lease ends. A user
// that is restricted needs both prefixes.
package etcdlock

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concordkit/concord/lock"
)

const (
	maxValue  = 64 << 10
	infoLimit = 500 * time.Millisecond // for the first try
)

// Options configure [New]. A nil *Options means the defaults.
type Options struct {
	// Prefix starts the keys of bare names. Lockers exclude each other when they have the same. It defaults to
	// "concord/lock/".
	Prefix string
	// Dirs starts the keys of directories. Neither it nor Prefix may begin with the other. It defaults to
	// "concord/dir/".
	Dirs string
}

// Backend keeps leases on etcd. It has a goroutine and a watch or two for each waiting claim, and three goroutines and two
// watches for each Watch. Its watches share a stream.
type Backend struct {
	cli          *clientv3.Client
	prefix, dirs string
	err          error

	mu       sync.Mutex // never held while waiting
	sessions map[int64]*session
	places   map[string]*place // by claim ID
}

// New returns a Backend that keeps leases in cli, which stays the caller's. A nil client, and prefixes of which one
// begins with the other, are reported by every call.
func New(cli *clientv3.Client, o *Options) *Backend {
	if o == nil {
		o = new(Options)
	}
	b := &Backend{
		cli:      cli,
		prefix:   cmp.Or(o.Prefix, "concord/lock/"),
		dirs:     cmp.Or(o.Dirs, "concord/dir/"),
		sessions: make(map[int64]*session),
		places:   make(map[string]*place),
	}
	switch {
	case cli == nil:
		b.err = fmt.Errorf("etcdlock: %w: nil client", lock.ErrInvalid)
	case strings.HasPrefix(b.prefix, b.dirs), strings.HasPrefix(b.dirs, b.prefix):
		b.err = fmt.Errorf("etcdlock: %w: prefix %q and directories at %q: neither may begin with the other",
			lock.ErrInvalid, b.prefix, b.dirs)
	}
	return b
}

// Info implements lock.Backend. It asks the server for the members of its cluster.
func (b *Backend) Info(ctx context.Context) (lock.Info, error) {
	info := lock.Info{Guarantee: lock.SingleNode, Granularity: time.Second, MaxValue: maxValue, Heeds: lock.HeedsContext}
	if b.err != nil {
		return info, b.err
	}
	ctx = clientv3.WithRequireLeader(ctx)
	list, err := read(ctx, infoLimit, func(ctx context.Context) (*clientv3.MemberListResponse, error) { return b.cli.MemberList(ctx) })
	if err != nil {
		return info, fmt.Errorf("etcdlock: info: %w", err)
	}
	voters := 0
	for _, m := range list.Members {
		if !m.IsLearner {
			voters++
		}
	}
	if voters > 1 {
		info.Guarantee = lock.Consensus
	}
	return info, nil
}

// check keeps out what would break a key. A Locker's claims pass.
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
