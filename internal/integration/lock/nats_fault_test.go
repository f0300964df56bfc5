package lock_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/internal/integration/stores"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/natslock"
)

// A consumer outlives its client for a while and goes on where it was, but the marker of a release may be gone by then.
func TestNATSMissedMarkerIsMadeUpFor(t *testing.T) {
	t.Parallel()
	s := stores.NewNATS(t, 1)
	const long = 15 * time.Second
	open := func(links faultproxy.Links, trace *lock.Trace) *process {
		p := &process{links, lock.New(s.Connect(t, links), &lock.Options{TTL: long, Trace: trace})}
		t.Cleanup(func() { links.Heal(); require.NoError(t, p.locks.Close(context.Background())) })
		return p
	}
	c := lock.Claim{Dir: "dir", Name: "n"}
	lease, err := open(nil, nil).locks.Claim(t.Context(), c)
	require.NoError(t, err)
	trace, queued := queueing()
	waiter, watcher := open(s.Links(t), trace), open(s.Links(t), nil)
	got := make(chan *lock.Lease, 1)
	go func() {
		if lease, err := waiter.locks.Claim(t.Context(), c); err == nil {
			got <- lease
		}
	}()
	within(t, ttl, queued, "the claim must wait in line")
	w, err := watcher.locks.Watch(t.Context(), "dir")
	require.NoError(t, err)
	for _, p := range []*process{waiter, watcher} {
		p.link.Set(faultproxy.Faults{BlackholeUp: true, BlackholeDown: true})
		p.link.ResetAll()
	}
	require.NoError(t, lease.Release())
	time.Sleep(3 * time.Second) // the marker lives for one
	waiter.link.Heal()
	watcher.link.Heal()
	next := within(t, ttl, got, "a waiter must look when its connection is back")
	ctx, stop := context.WithTimeout(t.Context(), ttl)
	defer stop()
	for hs, err := range w.All(ctx) {
		require.NoError(t, err, "a watch must look when its connection is back")
		if len(hs) == 1 && hs[0].Token == next.Token() {
			break
		}
	}
	require.NoError(t, next.Release())
}

// natsClaim is one of many that fit beside each other.
func natsClaim(id string) lock.Claim {
	return lock.Claim{Name: "crowd", ID: id, Weight: 1, Capacity: 100, TTL: 30 * time.Second}
}

// Many calls at once find out that a consumer is gone; they must not keep each other from making another one.
func TestNATSConsumerDeletedUnderACrowd(t *testing.T) {
	t.Parallel()
	s := stores.NewNATS(t, 1)
	links := s.Links(t)
	b := natslock.New(stores.Stream(t, s.DialThrough(t, links, nil)), stores.Bucket)
	for _, id := range []string{"a", "b"} { // two claims: the line is followed
		_, err := b.Acquire(t.Context(), natsClaim(id), nil)
		require.NoError(t, err)
	}
	links.Set(faultproxy.Faults{Latency: 100 * time.Millisecond})
	stream, err := stores.Stream(t, s.Dial(t)).Stream(t.Context(), "KV_"+stores.Bucket)
	require.NoError(t, err)
	for name := range stream.ConsumerNames(t.Context()).Name() {
		require.NoError(t, stream.DeleteConsumer(t.Context(), name)) // as a restart does
	}
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
			defer stop()
			if _, err := b.Acquire(ctx, natsClaim(fmt.Sprint("n", i)), nil); err != nil {
				t.Errorf("an acquire must get through: %v", err)
			}
		})
		time.Sleep(50 * time.Millisecond)
	}
	wg.Wait()
}

// A line that nobody waits in is followed no more after a second. Who learns from it where he stands is not forgotten then.
func TestNATSAcquireOverASlowLink(t *testing.T) {
	t.Parallel()
	s := stores.NewNATS(t, 1)
	links := s.Links(t)
	b := natslock.New(stores.Stream(t, s.DialThrough(t, links, nil)), stores.Bucket)
	_, err := b.Acquire(t.Context(), natsClaim("a"), nil)
	require.NoError(t, err)
	links.Set(faultproxy.Faults{Latency: 600 * time.Millisecond})
	for _, id := range []string{"b", "c"} {
		ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
		defer stop()
		st, err := b.Acquire(ctx, natsClaim(id), nil)
		require.NoError(t, err)
		require.Equal(t, lock.Held, st.Phase)
	}
}

// A try that was stored, but not answered, leaves the outcome open, whatever becomes of the next one.
func TestNATSRefusalAfterALostAnswer(t *testing.T) {
	t.Parallel()
	s := stores.NewNATS(t, 1)
	links := s.Links(t)
	nc := s.DialThrough(t, links, func(o *nats.Options) { o.ReconnectBufSize = -1 }) // refuses at once while it has no connection
	b := natslock.New(stores.Stream(t, nc), stores.Bucket)
	c := lock.Claim{Name: "open", ID: "a", Weight: 1, Capacity: 1, TTL: 10 * time.Second}
	_, err := b.Info(t.Context())
	require.NoError(t, err)
	links.Set(faultproxy.Faults{BlackholeDown: true})
	time.AfterFunc(300*time.Millisecond, func() {
		links.Set(faultproxy.Faults{Refuse: true})
		links.ResetAll()
	})
	ctx, stop := context.WithTimeout(t.Context(), 3*time.Second)
	defer stop()
	_, err = b.Acquire(ctx, c, nil)
	require.ErrorIs(t, err, lock.ErrUnknownOutcome)
	kv, err := stores.Stream(t, s.Dial(t)).KeyValue(t.Context(), stores.Bucket)
	require.NoError(t, err)
	_, err = kv.Get(t.Context(), "n.open.a")
	require.NoError(t, err, "the test must find the claim stored, or it proves nothing")
}
