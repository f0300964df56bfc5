package lock_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/integration/stores"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/natslock"
)

func natsLocker(t *testing.T, s stores.NATS, bucket string) *lock.Locker {
	t.Helper()
	l := lock.New(natslock.New(stores.Stream(t, s.Dial(t)), bucket), &lock.Options{TTL: ttl})
	t.Cleanup(func() {
		ctx, stop := context.WithTimeout(context.Background(), 10*ttl)
		defer stop()
		require.NoError(t, l.Close(ctx), "Close must end")
	})
	return l
}

func TestNATSBuckets(t *testing.T) {
	t.Parallel()
	s := stores.NewNATS(t, 1)
	js := stores.Stream(t, s.Dial(t))
	good := natslock.Config("good", 1)
	change := func(f func(*jetstream.KeyValueConfig)) jetstream.KeyValueConfig {
		c := good
		f(&c)
		return c
	}
	for setting, c := range map[string]jetstream.KeyValueConfig{
		"LimitMarkerTTL": change(func(c *jetstream.KeyValueConfig) { c.LimitMarkerTTL = 0 }),
		"TTL 1h0m0s":     change(func(c *jetstream.KeyValueConfig) { c.TTL = time.Hour }),
		"History 5":      change(func(c *jetstream.KeyValueConfig) { c.History = 5 }),
		"MaxValueSize":   change(func(c *jetstream.KeyValueConfig) { c.MaxValueSize = 600 }),
	} {
		c.Bucket = "wrong"
		_, err := js.CreateKeyValue(t.Context(), c)
		require.NoError(t, err)
		_, err = natsLocker(t, s, "wrong").Acquire(t.Context(), "a")
		require.ErrorIs(t, err, lock.ErrInvalid)
		require.ErrorContains(t, err, `bucket "wrong" has `)
		require.ErrorContains(t, err, setting)
		require.NoError(t, js.DeleteKeyValue(t.Context(), "wrong"))
	}
	start := time.Now()
	_, err := natsLocker(t, s, "missing").Acquire(t.Context(), "a")
	require.ErrorIs(t, err, lock.ErrInvalid)
	require.ErrorIs(t, err, jetstream.ErrBucketNotFound)
	require.Less(t, time.Since(start), ttl, "a bucket that is missing must be told at once")
	for _, name := range []string{"", "a b", "a.b", "*", ">"} {
		_, err := natsLocker(t, s, name).Acquire(t.Context(), "a")
		require.ErrorIs(t, err, lock.ErrInvalid, "%q", name)
	}

	_, err = js.CreateKeyValue(t.Context(), change(func(c *jetstream.KeyValueConfig) { c.Bucket, c.Storage = "memory", jetstream.MemoryStorage }))
	require.NoError(t, err)
	for bucket, want := range map[string]lock.Guarantee{"memory": lock.Process, stores.Bucket: lock.SingleNode} {
		info, err := natslock.New(js, bucket).Info(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, info.Guarantee)
	}
}

func TestNATSClusterGuarantee(t *testing.T) {
	t.Parallel()
	s := stores.NewNATS(t, 3)
	info, err := natslock.New(stores.Stream(t, s.Dial(t)), stores.Bucket).Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, lock.Consensus, info.Guarantee)
}

func TestNATSForeignData(t *testing.T) {
	t.Parallel()
	s := stores.NewNATS(t, 1)
	l := natsLocker(t, s, stores.Bucket)
	kv, err := stores.Stream(t, s.Dial(t)).KeyValue(t.Context(), stores.Bucket)
	require.NoError(t, err)
	for _, value := range []string{"mine", "", "1 0 1 1", "1 0 0 1\n", "1 0 2 1\n", "1 9007199254740992 1 1\n", "2 0 1 1\n"} {
		_, err := kv.PutString(t.Context(), "n.foreign.mine", value)
		require.NoError(t, err)
		_, err = l.TryAcquire(t.Context(), "foreign")
		require.ErrorIs(t, err, lock.ErrCorrupt, "%q", value)
		_, err = l.Acquire(t.Context(), "foreign")
		require.ErrorIs(t, err, lock.ErrCorrupt, "foreign data is an error, never a grant")
		_, err = kv.PutString(t.Context(), "d.dir.n.mine", value)
		require.NoError(t, err)
		_, err = l.Watch(t.Context(), "dir")
		require.ErrorIs(t, err, lock.ErrCorrupt, "%q", value)
	}
	for _, key := range []string{"n.foreign.mine", "d.dir.n.mine"} {
		require.NoError(t, kv.Purge(t.Context(), key))
	}
	lease, err := l.Acquire(t.Context(), "foreign")
	require.NoError(t, err)
	require.NoError(t, lease.Release())
	_, err = l.Watch(t.Context(), "dir")
	require.NoError(t, err)
}

func TestNATSKeyDeletedByHand(t *testing.T) { // T10, T15
	t.Parallel()
	s := stores.NewNATS(t, 1)
	kv, err := stores.Stream(t, s.Dial(t)).KeyValue(t.Context(), stores.Bucket)
	require.NoError(t, err)
	p := direct(t, s)
	lease := p.acquire(t, "deleted")
	trace, queued := queueing()
	waiter := linked(t, s, trace)
	failed := make(chan error, 1)
	go func() {
		_, err := waiter.locks.Acquire(t.Context(), "deleted")
		failed <- err
	}()
	within(t, ttl, queued, "the claim must wait in line")
	keys, err := kv.Keys(t.Context())
	require.NoError(t, err)
	require.Len(t, keys, 2)
	for _, key := range keys {
		if !strings.HasSuffix(key, lease.Claim().ID) {
			require.NoError(t, kv.Delete(t.Context(), key))
		}
	}
	require.ErrorIs(t, within(t, ttl/4, failed, "a wait whose claim was deleted must end"), lock.ErrLost)
	require.NoError(t, lease.Context().Err())
	require.NoError(t, kv.Delete(t.Context(), "n.deleted."+lease.Claim().ID))
	within(t, ttl/3+slack, lease.Context().Done(), "the next renewal must report the loss")
	next := p.acquire(t, "deleted")
	require.Greater(t, next.Token(), lease.Token())
	require.NoError(t, next.Release())
}

func TestNATSRequests(t *testing.T) {
	t.Parallel()
	s := stores.NewNATS(t, 1)
	nc := s.Dial(t)
	of := func(f func()) int {
		before := nc.Stats().OutMsgs
		f()
		return int(nc.Stats().OutMsgs - before)
	}
	const long = time.Minute // nothing is renewed by itself
	trace, queued := queueing()
	b := natslock.New(stores.Stream(t, nc), stores.Bucket)
	l := lock.New(b, &lock.Options{TTL: long, Trace: trace})
	require.NoError(t, l.Do(t.Context(), "warm", func(context.Context, *lock.Lease) error { return nil }))
	var lease *lock.Lease
	var err error
	require.Equal(t, 2, of(func() { lease, err = l.Acquire(t.Context(), "a") }), "a free acquire")
	require.NoError(t, err)
	require.Equal(t, 1, of(func() { _, err = l.TryAcquire(t.Context(), "a") }), "a refused one")
	require.ErrorIs(t, err, lock.ErrHeld)
	var got <-chan *lock.Lease
	require.LessOrEqual(t, of(func() {
		got = queue(t, &process{locks: l}, queued, "a")
		time.Sleep(ttl / 4) // the consumer is made in the background
	}), 3, "an acquire that waits")
	require.Equal(t, 1, of(func() {
		require.NoError(t, lease.Release())
		lease = within(t, ttl, got, "a grant must be pushed")
	}), "a release that hands over: nothing but itself")
	require.NoError(t, lease.Release())
	var cs []lock.Claim
	for i := range 100 {
		c := lock.Claim{Name: fmt.Sprint("many-", i), ID: fmt.Sprint("id", i), Weight: 1, Capacity: 1, TTL: long}
		_, err := b.Acquire(t.Context(), c, func(lock.State) {})
		require.NoError(t, err)
		cs = append(cs, c)
	}
	require.Equal(t, 100, of(func() { _, err = b.Renew(t.Context(), cs) }), "renewing 100 leases, all in flight at once")
	require.NoError(t, err)
	require.NoError(t, l.Close(t.Context()))
}
