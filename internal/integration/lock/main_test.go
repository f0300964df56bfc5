// Package lock_test runs package lock against real servers and under faults.
package lock_test

import (
	"context"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/concordkit/concord/internal/integration/containers"
	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/internal/integration/redisserver"
	"github.com/concordkit/concord/internal/integration/stores"
	"github.com/concordkit/concord/lock"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		child()
		return
	}
	redisserver.Report()
	containers.Report()
	flag.Parse()
	flag.Set("test.parallel", "8") // they wait for time and servers more than they work
	goleak.VerifyTestMain(m)
}

// ttl is long enough that a loaded machine serves a request within a third of it.
const ttl = 2 * time.Second

// process is one simulated process: a client of its own, by links of its own.
type process struct {
	link  faultproxy.Links // none for a direct connection
	locks *lock.Locker
}

// direct returns a process without faults.
func direct(t *testing.T, s stores.Store) *process {
	t.Helper()
	return newProcess(t, s, nil, nil)
}

// linked returns a process by way of proxies.
func linked(t *testing.T, s stores.Store, trace *lock.Trace) *process {
	t.Helper()
	return newProcess(t, s, s.Links(t), trace)
}

func newProcess(t *testing.T, s stores.Store, links faultproxy.Links, trace *lock.Trace) *process {
	t.Helper()
	p := &process{link: links, locks: lock.New(s.Connect(t, links), &lock.Options{TTL: ttl, Trace: trace})}
	t.Cleanup(func() {
		links.Heal()
		ctx, stop := context.WithTimeout(context.Background(), 10*ttl)
		defer stop()
		require.NoError(t, p.locks.Close(ctx), "Close must end")
	})
	return p
}

func (p *process) acquire(t *testing.T, name string) *lock.Lease {
	t.Helper()
	lease, err := p.locks.Acquire(t.Context(), name)
	require.NoError(t, err)
	return lease
}

// acquireSoon tries again while the store, which has just been healed, does not answer within a TTL.
func (p *process) acquireSoon(t *testing.T, name string) *lock.Lease {
	t.Helper()
	for start := time.Now(); ; {
		lease, err := p.locks.Acquire(t.Context(), name)
		if err != nil && time.Since(start) < 10*ttl {
			continue // each took up to a TTL
		}
		require.NoError(t, err)
		return lease
	}
}

// queue starts an acquire of name and returns once it waits in line.
func queue(t *testing.T, p *process, queued <-chan struct{}, name string) <-chan *lock.Lease {
	t.Helper()
	got := make(chan *lock.Lease, 1)
	go func() {
		if lease, err := p.locks.Acquire(t.Context(), name); err == nil {
			got <- lease
		}
		close(got)
	}()
	within(t, ttl, queued, "the claim must wait in line")
	return got
}

// queueing returns a trace that tells when a claim waits in line.
func queueing() (*lock.Trace, <-chan struct{}) {
	queued := make(chan struct{}, 100)
	return &lock.Trace{Queued: func(context.Context, lock.Claim) { queued <- struct{}{} }}, queued
}

// within returns what comes from ch in time d.
func within[T any](t *testing.T, d time.Duration, ch <-chan T, promise string) T {
	t.Helper()
	select {
	case v, ok := <-ch:
		_, signal := any(v).(struct{}) // by closing; a closed channel of anything else has none to give
		require.True(t, ok || signal, "%s (it has failed)", promise)
		return v
	case <-time.After(d):
		require.FailNow(t, "too late", "%s (waited %v)", promise, d)
	}
	panic("unreachable")
}

// slack is what a loaded machine may add.
const slack = time.Second
