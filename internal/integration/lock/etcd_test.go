package lock_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"google.golang.org/grpc"

	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/internal/integration/stores"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/etcdlock"
	"github.com/concordkit/concord/lock/fence"
)

// etcdLocker is a process whose client the test wants to see.
func etcdLocker(t *testing.T, cli *clientv3.Client, ttl time.Duration, trace *lock.Trace) *lock.Locker {
	t.Helper()
	l := lock.New(etcdlock.New(cli, nil), &lock.Options{TTL: ttl, Trace: trace})
	t.Cleanup(func() {
		ctx, stop := context.WithTimeout(context.Background(), 10*ttl)
		defer stop()
		require.NoError(t, l.Close(ctx), "Close must end")
	})
	return l
}

func session(t *testing.T, cli *clientv3.Client) *concurrency.Session {
	t.Helper()
	s, err := concurrency.NewSession(cli, concurrency.WithTTL(int(ttl.Seconds())))
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func TestEtcdMutexAndOursExcludeEachOther(t *testing.T) {
	t.Parallel()
	s := stores.NewEtcd(t, 1)
	cli := s.Dial(t)
	stock := concurrency.NewMutex(session(t, cli), "concord/lock/invoice-42")
	trace, queued := queueing()
	p := &process{locks: etcdLocker(t, s.Dial(t), ttl, trace)}

	require.NoError(t, stock.Lock(t.Context()))
	_, err := p.locks.TryAcquire(t.Context(), "invoice-42")
	require.ErrorIs(t, err, lock.ErrHeld)
	got := queue(t, p, queued, "invoice-42")
	require.NoError(t, stock.Unlock(t.Context()))
	lease := within(t, ttl/4, got, "a stock holder's unlock must let ours in")

	require.ErrorIs(t, stock.TryLock(t.Context()), concurrency.ErrLocked)
	locked := make(chan error, 1)
	go func() { locked <- stock.Lock(t.Context()) }()
	select {
	case <-locked:
		require.Fail(t, "a stock mutex must wait for ours")
	case <-time.After(ttl / 4):
	}
	again := queue(t, p, queued, "invoice-42") // behind the stock one
	require.NoError(t, lease.Release())
	require.NoError(t, within(t, ttl/4, locked, "our release must let a stock waiter in"))
	select {
	case <-again:
		require.Fail(t, "ours must wait behind the stock one")
	case <-time.After(ttl / 4):
	}
	require.NoError(t, stock.Unlock(t.Context()))
	lease = within(t, ttl/4, again, "ours must be next")
	require.NoError(t, lease.Release())
}

func TestEtcdElectionAndOursExcludeEachOther(t *testing.T) {
	t.Parallel()
	s := stores.NewEtcd(t, 1)
	cli := s.Dial(t)
	l := etcdLocker(t, s.Dial(t), ttl, nil)
	stock := concurrency.NewElection(session(t, cli), "concord/dir/scheduler")

	lease, err := l.Claim(t.Context(), lock.Claim{Dir: "scheduler", Value: []byte("node-1")})
	require.NoError(t, err)
	member, err := l.Claim(t.Context(), lock.Claim{Dir: "scheduler", Name: "other"})
	require.NoError(t, err)
	leader, err := stock.Leader(t.Context())
	require.NoError(t, err)
	require.Equal(t, "node-1", string(leader.Kvs[0].Value), "a stock client must see our leader")
	require.NoError(t, lease.SetValue(t.Context(), []byte("node-2")))
	leader, err = stock.Leader(t.Context())
	require.NoError(t, err)
	require.Equal(t, "node-2", string(leader.Kvs[0].Value))

	won := make(chan error, 1)
	go func() { won <- stock.Campaign(t.Context(), "stock") }()
	select {
	case <-won:
		require.Fail(t, "a stock campaign must wait for our leader")
	case <-time.After(ttl / 4):
	}
	require.NoError(t, lease.Release())
	require.NoError(t, within(t, ttl/4, won, "our release must let a stock candidate in"))

	w, err := l.Watch(t.Context(), "scheduler")
	require.NoError(t, err)
	holders := w.Holders()
	require.Len(t, holders, 2)
	require.Equal(t, "stock", string(holders[0].Value), "our watch must see a stock leader")
	_, err = l.Claim(t.Context(), lock.Claim{Dir: "scheduler", NoWait: true})
	require.ErrorIs(t, err, lock.ErrHeld)
	require.NoError(t, stock.Resign(t.Context()))
	lease, err = l.Claim(t.Context(), lock.Claim{Dir: "scheduler"})
	require.NoError(t, err)
	require.NoError(t, lease.Release())
	require.NoError(t, member.Release())
}

// A leader that is cut off answers keep-alives for a while, though its successor lets leases run out. Here the other
// requests of such a client go to the successor.
func TestEtcdKeepAliveOfALostLeaderDoesNotCount(t *testing.T) {
	t.Parallel()
	s := stores.NewEtcd(t, 3)
	rest := s.Dial(t)
	for range 20 { // often the old leader gives up first
		leader := s.Leader(t)
		cli := s.DialThrough(t, s.Links(t)[leader:leader+1], nil)
		cli.KV = rest.KV
		b := etcdlock.New(cli, nil)
		c := lock.Claim{Name: rand.Text(), ID: "id", Weight: 1, Capacity: 1, TTL: time.Minute}
		_, err := b.Acquire(t.Context(), c, nil)
		require.NoError(t, err)
		s.Isolate(leader)
		found := false
		for start := time.Now(); !found && time.Since(start) < ttl; {
			ctx, stop := context.WithTimeout(t.Context(), ttl/4)
			states, err := b.Renew(ctx, []lock.Claim{c})
			stop()
			require.Equal(t, err == nil, states[0].Phase == lock.Held, "%v", err)
			found = err != nil && strings.Contains(err.Error(), "the leader has changed since the keep-alive")
		}
		s.Heal()
		if found {
			return
		}
	}
	require.Fail(t, "no leader was caught answering after its successor's election: the test proves nothing")
}

func TestEtcdLeaseRevokedWhileWaiting(t *testing.T) { // T10
	t.Parallel()
	s := stores.NewEtcd(t, 1)
	admin := s.Dial(t)
	holder := direct(t, s)
	lease := holder.acquire(t, "revoked")
	before, err := admin.Leases(t.Context())
	require.NoError(t, err)
	require.Len(t, before.Leases, 1)
	trace, queued := queueing()
	waiter := linked(t, s, trace)
	failed := make(chan error, 1)
	go func() {
		_, err := waiter.locks.Acquire(t.Context(), "revoked")
		failed <- err
	}()
	within(t, ttl, queued, "the claim must wait in line")
	all, err := admin.Leases(t.Context())
	require.NoError(t, err)
	for _, l := range all.Leases {
		if l.ID != before.Leases[0].ID {
			_, err := admin.Revoke(t.Context(), l.ID)
			require.NoError(t, err)
		}
	}
	require.ErrorIs(t, within(t, ttl/4, failed, "a wait whose lease was revoked must end"), lock.ErrLost)
	require.NoError(t, lease.Context().Err())
	_, err = admin.Revoke(t.Context(), before.Leases[0].ID)
	require.NoError(t, err)
	within(t, ttl/3+slack, lease.Context().Done(), "the next renewal must report the loss")
	for _, p := range []*process{holder, waiter} { // on a new etcd lease
		require.NoError(t, p.acquire(t, "revoked").Release())
	}
}

func TestEtcdCompactionWhileWaiting(t *testing.T) { // T16
	t.Parallel()
	s := stores.NewEtcd(t, 1)
	holder, admin := direct(t, s), s.Dial(t)
	lease := holder.acquire(t, "compacted")
	trace, queued := queueing()
	waiter := linked(t, s, trace)
	got := queue(t, waiter, queued, "compacted")
	w, err := waiter.locks.Watch(t.Context(), "compacted")
	require.NoError(t, err)
	waiter.link.Set(faultproxy.Faults{Refuse: true})
	waiter.link.ResetAll()
	require.NoError(t, lease.Release())
	listed, err := holder.locks.Claim(t.Context(), lock.Claim{Dir: "compacted", Name: "n"})
	require.NoError(t, err)
	for range 10 {
		_, err := admin.Put(t.Context(), "more", "revisions")
		require.NoError(t, err)
	}
	s.Compact(t)
	waiter.link.Heal()
	next := within(t, ttl, got, "a waiter must look when its watch was compacted away")
	sees(t, w, 1)
	require.NoError(t, next.Release())
	require.NoError(t, listed.Release())
	sees(t, w, 0)
}

func TestEtcdKeyDeletedByHand(t *testing.T) { // T15
	t.Parallel()
	s := stores.NewEtcd(t, 1)
	admin, p := s.Dial(t), direct(t, s)
	lease := p.acquire(t, "deleted")
	other := p.acquire(t, "other")
	_, err := admin.Delete(t.Context(), "concord/lock/deleted/", clientv3.WithPrefix())
	require.NoError(t, err)
	within(t, ttl/3+slack, lease.Context().Done(), "the next renewal must report the loss")
	require.ErrorIs(t, context.Cause(lease.Context()), lock.ErrLost)
	require.NoError(t, other.Context().Err(), "others on the same etcd lease must stay")
	next := p.acquire(t, "deleted")
	require.Greater(t, next.Token(), lease.Token())
	require.NoError(t, next.Release())
	require.NoError(t, other.Release())
}

func TestEtcdForeignKeys(t *testing.T) {
	t.Parallel()
	s := stores.NewEtcd(t, 1)
	admin, p := s.Dial(t), direct(t, s)
	put := func(key string) {
		_, err := admin.Put(t.Context(), key, "mine")
		require.NoError(t, err)
	}
	put("concord/lock/name/below/it") // not in the line
	require.NoError(t, p.acquire(t, "name").Release())
	put("concord/lock/name/mine") // in the line, for ever
	_, err := p.locks.TryAcquire(t.Context(), "name")
	require.ErrorIs(t, err, lock.ErrHeld)
	for _, leaf := range []string{"a.b", "a.2.1", "a.0.1", "a.1.1.1", "a.1.99999999999"} {
		put("concord/lock/corrupt/" + leaf)
		_, err := p.locks.TryAcquire(t.Context(), "corrupt")
		require.ErrorIs(t, err, lock.ErrCorrupt, leaf)
		_, err = p.locks.Acquire(t.Context(), "corrupt")
		require.ErrorIs(t, err, lock.ErrCorrupt, leaf)
		_, err = admin.Delete(t.Context(), "concord/lock/corrupt/"+leaf)
		require.NoError(t, err)
		put("concord/dir/=dir/n/" + leaf)
		_, err = p.locks.Watch(t.Context(), "dir")
		require.ErrorIs(t, err, lock.ErrCorrupt, leaf)
		_, err = admin.Delete(t.Context(), "concord/dir/=dir/n/"+leaf)
		require.NoError(t, err)
	}
	put("concord/dir/=dir/%zz/id")
	_, err = p.locks.Watch(t.Context(), "dir")
	require.ErrorIs(t, err, lock.ErrCorrupt)
}

func TestEtcdUserWithoutPermission(t *testing.T) {
	t.Parallel()
	s := stores.NewEtcd(t, 1)
	root := s.Dial(t)
	ctx := t.Context()
	must := func(_ any, err error) { t.Helper(); require.NoError(t, err) }
	for _, user := range []string{"root", "app", "gone"} {
		must(root.UserAdd(ctx, user, "secret"))
		must(root.RoleAdd(ctx, user))
		must(root.UserGrantRole(ctx, user, user))
	}
	must(root.RoleGrantPermission(ctx, "app", "concord/", "concord0", clientv3.PermissionType(clientv3.PermReadWrite)))
	must(root.AuthEnable(ctx))
	as := func(user string) *clientv3.Client {
		return s.DialThrough(t, s.Links(t), func(c *clientv3.Config) { c.Username, c.Password = user, "secret" })
	}
	app := etcdLocker(t, as("app"), ttl, nil)
	require.NoError(t, app.Do(ctx, "allowed", func(context.Context, *lock.Lease) error { return nil }))

	for _, b := range []*etcdlock.Backend{
		etcdlock.New(as("app"), &etcdlock.Options{Prefix: "mine/"}),
		etcdlock.New(as("gone"), nil),
	} {
		l := lock.New(b, nil)
		start := time.Now()
		_, err := l.Acquire(ctx, "denied")
		require.ErrorContains(t, err, "permission denied")
		require.NotErrorIs(t, err, lock.ErrUnknownOutcome)
		require.NoError(t, l.Close(ctx))
		require.Less(t, time.Since(start), ttl, "what was refused needs no release")
	}

	expired := etcdLocker(t, as("gone"), ttl, nil)
	admin := as("root")
	must(admin.UserDelete(ctx, "gone"))
	_, err := expired.Acquire(ctx, "expired")
	require.Error(t, err)
	require.NotErrorIs(t, err, lock.ErrUnknownOutcome, "%v", err)
	t.Log(err)
}

// requests counts what a client asks of the server: unary calls, and messages on the stream of keep-alives.
type requests struct{ atomic.Int64 }

func (r *requests) options(c *clientv3.Config) {
	c.DialOptions = append(c.DialOptions,
		grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			r.Add(1)
			return invoke(ctx, method, req, reply, cc, opts...)
		}),
		grpc.WithChainStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, stream grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			r.Add(1)
			return stream(ctx, desc, cc, method, opts...)
		}))
}

// of returns how many requests f makes.
func (r *requests) of(f func()) int64 {
	before := r.Load()
	f()
	return r.Load() - before
}

func TestEtcdRequests(t *testing.T) {
	t.Parallel()
	s := stores.NewEtcd(t, 1)
	var n requests
	const long = time.Minute // nothing is renewed by itself
	b := etcdlock.New(s.DialThrough(t, s.Links(t), n.options), nil)
	trace, queued := queueing()
	l := lock.New(b, &lock.Options{TTL: long, Trace: trace})
	require.NoError(t, l.Do(t.Context(), "warm", func(context.Context, *lock.Lease) error { return nil }))
	var lease *lock.Lease
	var err error
	require.EqualValues(t, 1, n.of(func() { lease, err = l.TryAcquire(t.Context(), "a") }), "a free acquire that does not wait")
	require.NoError(t, err)
	require.EqualValues(t, 1, n.of(func() { _, err = l.TryAcquire(t.Context(), "a") }), "a refused one")
	require.ErrorIs(t, err, lock.ErrHeld)
	require.EqualValues(t, 1, n.of(func() { require.NoError(t, lease.Release()) }), "a release")
	require.EqualValues(t, 1, n.of(func() { lease, err = l.Acquire(t.Context(), "a") }), "a free acquire")
	require.NoError(t, err)

	var got <-chan *lock.Lease
	wait := n.of(func() {
		got = queue(t, &process{locks: l}, queued, "a")
		time.Sleep(ttl / 4) // the watch is made in the background
	})
	require.LessOrEqual(t, wait, int64(2), "an acquire that waits: one, and the stream of watches")
	require.EqualValues(t, 1, n.of(func() {
		require.NoError(t, lease.Release())
		lease = within(t, ttl, got, "a grant must be pushed")
	}), "a release that hands over: nothing but itself")
	require.NoError(t, lease.Release())

	var cs []lock.Claim
	for i := range 100 {
		c := lock.Claim{Name: fmt.Sprint("many-", i), ID: fmt.Sprint("id", i), Weight: 1, Capacity: 1, TTL: long}
		_, err := b.Acquire(t.Context(), c, nil)
		require.NoError(t, err)
		cs = append(cs, c)
	}
	require.EqualValues(t, 2, n.of(func() { _, err = b.Renew(t.Context(), cs) }), "renewing 100 leases")
	require.NoError(t, err)
	require.NoError(t, l.Close(t.Context()))
}

func TestEtcdFence(t *testing.T) {
	t.Parallel()
	cli := stores.NewEtcd(t, 1).Dial(t)
	f := etcdlock.NewFence(cli)
	ctx := t.Context()
	value := func() string {
		r, err := cli.Get(ctx, "balance")
		require.NoError(t, err)
		if len(r.Kvs) == 0 {
			return ""
		}
		return string(r.Kvs[0].Value)
	}
	require.NoError(t, f.Put(ctx, "balance", "1", 7))
	require.NoError(t, f.Put(ctx, "balance", "2", 7), "a holder may write again")
	require.NoError(t, f.Put(ctx, "balance", "3", 10))
	require.ErrorIs(t, f.Put(ctx, "balance", "4", 9), fence.ErrStale)
	require.ErrorIs(t, f.Delete(ctx, "balance", 9), fence.ErrStale)
	require.Equal(t, "3", value())
	require.NoError(t, f.Delete(ctx, "balance", 10))
	require.ErrorIs(t, f.Put(ctx, "balance", "5", 9), fence.ErrStale, "a mark outlives its key")
	require.Empty(t, value())
	require.ErrorIs(t, f.Put(ctx, "", "1", 1), lock.ErrInvalid)
	require.ErrorIs(t, f.Put(ctx, "balance/fence", "1", 1), lock.ErrInvalid, "a mark is not written to")
	require.ErrorIs(t, f.Put(ctx, "balance", "1", 0), lock.ErrInvalid)
	_, err := cli.Put(ctx, "balance/fence", "mine")
	require.NoError(t, err)
	require.ErrorIs(t, f.Put(ctx, "balance", "1", 11), lock.ErrCorrupt)
}

func TestEtcdOwnerCoversATransaction(t *testing.T) {
	t.Parallel()
	s := stores.NewEtcd(t, 1)
	cli := s.Dial(t)
	b := etcdlock.New(cli, nil)
	l := lock.New(b, &lock.Options{TTL: ttl})
	for _, c := range []lock.Claim{{Name: "a"}, {Dir: "d"}, {Dir: "d", Name: "n"}, lock.Claim{Name: "s"}.Of(1, 2)} {
		lease, err := l.Claim(t.Context(), c)
		require.NoError(t, err)
		write := func() bool {
			r, err := cli.Txn(t.Context()).If(b.Owner(lease.Claim(), lease.Token())).Then(clientv3.OpPut("x", "y")).Commit()
			require.NoError(t, err)
			return r.Succeeded
		}
		require.True(t, write())
		require.NoError(t, lease.Release())
		require.False(t, write(), "what is not held any more must not be written under")
		r, err := cli.Txn(t.Context()).If(b.Owner(lease.Claim(), 0)).Commit()
		require.NoError(t, err)
		require.False(t, r.Succeeded, "no token is no permission")
	}
	require.NoError(t, l.Close(t.Context()))
}
