package lock_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/internal/integration/natsserver"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/natslock"
)

const bucket = "locks"

// natsStore is a NATS server or a cluster of three, with a bucket that is on all of them.
type natsStore struct{ *natsserver.Cluster }

func newNATS(t *testing.T, nodes int) *natsStore {
	t.Helper()
	s := &natsStore{natsserver.Start(t, nodes)}
	_, err := s.stream(t, s.Dial(t)).CreateKeyValue(t.Context(), natslock.Config(bucket, nodes))
	require.NoError(t, err)
	return s
}

func (s *natsStore) stream(t *testing.T, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	return js
}

func (s *natsStore) links(t *testing.T) faultproxy.Links { return s.Links(t) }

func (s *natsStore) dial(t *testing.T, links faultproxy.Links) lock.Backend {
	t.Helper()
	if len(links) == 0 {
		return natslock.New(s.stream(t, s.Dial(t)), bucket)
	}
	return natslock.New(s.stream(t, s.DialThrough(t, links, nil)), bucket)
}

func (s *natsStore) restart(*testing.T) { s.Restart(0) }

func (s *natsStore) leader(t *testing.T) int { return s.StreamLeader(t, "KV_"+bucket) }

func (s *natsStore) locker(t *testing.T, bucket string) *lock.Locker {
	t.Helper()
	l := lock.New(natslock.New(s.stream(t, s.Dial(t)), bucket), &lock.Options{TTL: ttl})
	t.Cleanup(func() {
		ctx, stop := context.WithTimeout(context.Background(), 10*ttl)
		defer stop()
		require.NoError(t, l.Close(ctx), "Close must end")
	})
	return l
}

func TestNATSBuckets(t *testing.T) {
	t.Parallel()
	s := newNATS(t, 1)
	js := s.stream(t, s.Dial(t))
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
		_, err = s.locker(t, "wrong").Acquire(t.Context(), "a")
		require.ErrorIs(t, err, lock.ErrInvalid)
		require.ErrorContains(t, err, `bucket "wrong" has `)
		require.ErrorContains(t, err, setting)
		require.NoError(t, js.DeleteKeyValue(t.Context(), "wrong"))
	}
	start := time.Now()
	_, err := s.locker(t, "missing").Acquire(t.Context(), "a")
	require.ErrorIs(t, err, lock.ErrInvalid)
	require.ErrorIs(t, err, jetstream.ErrBucketNotFound)
	require.Less(t, time.Since(start), ttl, "a bucket that is missing must be told at once")
	for _, name := range []string{"", "a b", "a.b", "*", ">"} {
		_, err := s.locker(t, name).Acquire(t.Context(), "a")
		require.ErrorIs(t, err, lock.ErrInvalid, "%q", name)
	}

	_, err = js.CreateKeyValue(t.Context(), change(func(c *jetstream.KeyValueConfig) { c.Bucket, c.Storage = "memory", jetstream.MemoryStorage }))
	require.NoError(t, err)
	for bucket, want := range map[string]lock.Guarantee{"memory": lock.Process, bucket: lock.SingleNode} {
		info, err := natslock.New(js, bucket).Info(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, info.Guarantee)
	}
}

func TestNATSClusterGuarantee(t *testing.T) {
	t.Parallel()
	s := newNATS(t, 3)
	info, err := natslock.New(s.stream(t, s.Dial(t)), bucket).Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, lock.Consensus, info.Guarantee)
}

func TestNATSForeignData(t *testing.T) {
	t.Parallel()
	s := newNATS(t, 1)
	l := s.locker(t, bucket)
	kv, err := s.stream(t, s.Dial(t)).KeyValue(t.Context(), bucket)
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
	s := newNATS(t, 1)
	kv, err := s.stream(t, s.Dial(t)).KeyValue(t.Context(), bucket)
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
	s := newNATS(t, 1)
	nc := s.Dial(t)
	of := func(f func()) int {
		before := nc.Stats().OutMsgs
		f()
		return int(nc.Stats().OutMsgs - before)
	}
	const long = time.Minute // nothing is renewed by itself
	trace, queued := queueing()
	b := natslock.New(s.stream(t, nc), bucket)
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
