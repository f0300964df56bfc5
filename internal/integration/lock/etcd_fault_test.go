package lock_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/concordkit/concord/internal/integration/stores"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/etcdlock"
)

// hooked lets a test come before transactions and deletions: an error is returned in their place.
type hooked struct {
	clientv3.KV
	before func(ops []clientv3.Op) error
}

func (k *hooked) Txn(ctx context.Context) clientv3.Txn {
	return &hookedTxn{Txn: k.KV.Txn(ctx), before: k.before}
}

func (k *hooked) Delete(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.DeleteResponse, error) {
	if err := k.before([]clientv3.Op{clientv3.OpDelete(key)}); err != nil {
		return nil, err
	}
	return k.KV.Delete(ctx, key, opts...)
}

type hookedTxn struct {
	clientv3.Txn
	ops    []clientv3.Op
	before func(ops []clientv3.Op) error
}

func (t *hookedTxn) If(cs ...clientv3.Cmp) clientv3.Txn   { t.Txn = t.Txn.If(cs...); return t }
func (t *hookedTxn) Else(ops ...clientv3.Op) clientv3.Txn { t.Txn = t.Txn.Else(ops...); return t }

func (t *hookedTxn) Then(ops ...clientv3.Op) clientv3.Txn {
	t.ops, t.Txn = ops, t.Txn.Then(ops...)
	return t
}

func (t *hookedTxn) Commit() (*clientv3.TxnResponse, error) {
	if err := t.before(t.ops); err != nil {
		return nil, err
	}
	return t.Txn.Commit()
}

func hook(cli *clientv3.Client, before func(ops []clientv3.Op) error) {
	cli.KV = &hooked{cli.KV, before}
}

// An acquire that reaches the server after its release must not come to life: others keep its etcd lease alive.
func TestEtcdAcquireAfterItsRelease(t *testing.T) {
	t.Parallel()
	s := stores.NewEtcd(t, 1)
	cli := s.Dial(t)
	arrived, late := make(chan struct{}, 1), make(chan struct{})
	hook(cli, func(ops []clientv3.Op) error {
		if ops[0].IsPut() && string(ops[0].KeyBytes()) == "concord/lock/late/id" {
			arrived <- struct{}{}
			<-late
		}
		return nil
	})
	b := etcdlock.New(cli, nil)
	c := lock.Claim{Name: "late", ID: "id", Weight: lock.All, Capacity: lock.All, TTL: ttl}
	got := make(chan lock.State, 1)
	go func() {
		st, _ := b.Acquire(t.Context(), c, nil)
		got <- st
	}()
	within(t, ttl, arrived, "the acquire must be sent")
	was, err := b.Release(t.Context(), c)
	require.NoError(t, err)
	require.False(t, was)
	close(late)
	require.Equal(t, lock.Gone, within(t, ttl, got, "the acquire must end").Phase)
	require.NoError(t, direct(t, s).acquire(t, "late").Release())
}

// A release that could not get through is made up for, though others keep the etcd lease alive, and at nobody's expense.
func TestEtcdStrandedClaims(t *testing.T) {
	t.Parallel()
	s := stores.NewEtcd(t, 1)
	cli := s.Dial(t)
	var mu sync.Mutex
	failure := errors.New("no answer")
	hook(cli, func(ops []clientv3.Op) error {
		if !ops[0].IsDelete() {
			return nil
		}
		mu.Lock()
		err := failure
		mu.Unlock()
		if err == nil {
			time.Sleep(ttl / 10) // a server that is slow
		}
		return err
	})
	b := etcdlock.New(cli, nil)
	l := lock.New(b, &lock.Options{TTL: ttl})
	lease, err := l.Acquire(t.Context(), "long")
	require.NoError(t, err)
	const n = 20
	for i := range n {
		c := lock.Claim{Name: fmt.Sprint("stranded-", i), ID: fmt.Sprint("id", i), Weight: 1, Capacity: 1, TTL: ttl}
		_, err := b.Acquire(t.Context(), c, nil)
		require.NoError(t, err)
		_, err = b.Release(t.Context(), c)
		require.ErrorIs(t, err, lock.ErrUnknownOutcome)
	}
	mu.Lock()
	failure = nil
	mu.Unlock()
	admin := s.Dial(t)
	for start := time.Now(); ; time.Sleep(ttl / 20) {
		r, err := admin.Get(t.Context(), "concord/lock/stranded-", clientv3.WithPrefix(), clientv3.WithCountOnly())
		require.NoError(t, err)
		if r.Count == 0 {
			break
		}
		require.Less(t, time.Since(start), 10*ttl, "%d of %d stranded claims are left", r.Count, n)
	}
	require.NoError(t, lease.Context().Err(), "a live lease must not wait for stranded ones")
	require.NoError(t, lease.Release())
	require.NoError(t, l.Close(t.Context()))
}

// Whoever learns that an etcd lease is gone tells all who live on it.
func TestEtcdKnownLossIsTold(t *testing.T) {
	t.Parallel()
	s := stores.NewEtcd(t, 1)
	admin := s.Dial(t)
	l := lock.New(etcdlock.New(s.Dial(t), nil), &lock.Options{TTL: time.Minute}) // renews every 20 s
	lease, err := l.Acquire(t.Context(), "a")
	require.NoError(t, err)
	all, err := admin.Leases(t.Context())
	require.NoError(t, err)
	require.Len(t, all.Leases, 1)
	_, err = admin.Revoke(t.Context(), all.Leases[0].ID)
	require.NoError(t, err)
	other, err := l.Acquire(t.Context(), "b")
	require.NoError(t, err)
	within(t, ttl/4, lease.Context().Done(), "the loss must be told")
	require.ErrorIs(t, context.Cause(lease.Context()), lock.ErrLost)
	require.NoError(t, other.Release())
	require.NoError(t, l.Close(t.Context()))
}

// A server whose space runs out says so also after it has applied a request: nothing may be left of what it refused.
func TestEtcdFullServerKeepsNothing(t *testing.T) {
	t.Parallel()
	s := stores.NewEtcd(t, 1, func(c *embed.Config) { c.QuotaBackendBytes = 8 << 20 })
	b := etcdlock.New(s.Dial(t), nil)
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := range 40 {
				c := lock.Claim{
					Name: fmt.Sprint("full-", w, "-", i), ID: fmt.Sprintf("id%dx%d", w, i), Weight: 1, Capacity: 1,
					TTL: time.Minute, Value: make([]byte, 64<<10),
				}
				_, err := b.Acquire(t.Context(), c, nil)
				if _, failed := b.Release(t.Context(), c); failed != nil && err == nil {
					t.Errorf("a full server must let go: %v", failed)
				}
				if err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	r, err := s.Dial(t).Get(t.Context(), "concord/lock/full-", clientv3.WithPrefix(), clientv3.WithKeysOnly())
	require.NoError(t, err)
	require.Empty(t, r.Kvs)
}

// A client knows all members of a cluster. One that is cut off, or whose link is dead, must not take the others away.
func TestEtcdOneMemberAway(t *testing.T) {
	t.Parallel()
	s := stores.NewEtcd(t, 3)
	p := direct(t, s)
	w, err := p.locks.Watch(t.Context(), "dir")
	require.NoError(t, err)
	member := (s.Leader(t) + 1) % 3
	s.Isolate(member)
	for i := range 10 {
		require.NoError(t, p.acquire(t, fmt.Sprint("away-", i)).Release())
	}
	lease, err := p.locks.Claim(t.Context(), lock.Claim{Dir: "dir", Name: "n"})
	require.NoError(t, err)
	time.Sleep(2 * ttl)
	require.NoError(t, lease.Context().Err())
	sees(t, w, 1)
	s.Heal()
	require.NoError(t, lease.Release())
	sees(t, w, 0)
}
