// Package election_test runs package election against real servers and under faults.
package election_test

import (
	"context"
	"crypto/rand"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/concordkit/concord/election"
	"github.com/concordkit/concord/election/electiontest"
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
	flag.Parse()
	flag.Set("test.parallel", "8") // they wait for time and servers more than they work
	goleak.VerifyTestMain(m)
}

const (
	// ttl is long enough that a loaded machine serves a request within a third of it.
	ttl = 2 * time.Second
	// slack is what a loaded machine may add.
	slack = time.Second
	// patience is for what must come, however late: a cluster of NATS does without a leader for 6 to 10 s.
	patience = 20 * time.Second
)

// node is a candidate in a process of its own.
type node struct {
	*election.Election
	t      *testing.T
	link   faultproxy.Links // none for a direct connection
	queued chan struct{}
}

func direct(t *testing.T, s stores.Store, name, id string) *node {
	t.Helper()
	return newNode(t, s.Connect(t, nil), nil, name, id)
}

// linked returns a candidate by way of proxies.
func linked(t *testing.T, s stores.Store, links faultproxy.Links, name, id string) *node {
	t.Helper()
	return newNode(t, s.Connect(t, links), links, name, id)
}

func newNode(t *testing.T, b lock.Backend, links faultproxy.Links, name, id string) *node {
	t.Helper()
	n := &node{t: t, link: links, queued: make(chan struct{}, 1000)}
	locks := lock.New(b, &lock.Options{TTL: ttl, Trace: &lock.Trace{
		Queued: func(context.Context, lock.Claim) { n.queued <- struct{}{} },
	}})
	n.Election = election.New(locks, name, &election.Options{ID: id, Value: "addr-" + id})
	t.Cleanup(func() {
		links.Heal()
		ctx, stop := context.WithTimeout(context.Background(), 10*ttl)
		defer stop()
		require.NoError(t, locks.Close(ctx), "Close must end")
	})
	return n
}

// shift is a term of work.
type shift struct {
	term  election.Term
	begun time.Time
	ended <-chan time.Time // when the work was told to end
	cause error            // once it has ended
}

// work stands for election until the test ends or stop is called, and works in each term until its context ends.
func (n *node) work(shifts *electiontest.Shifts) (begun <-chan *shift, stop func()) {
	ctx, cancel := context.WithCancel(n.t.Context())
	ch, done := make(chan *shift, 1000), make(chan struct{})
	stop = func() { cancel(); <-done }
	n.t.Cleanup(stop)
	go func() {
		defer close(done)
		n.Run(ctx, func(ctx context.Context, t election.Term) error {
			end := shifts.Begin(ctx, t)
			ended := make(chan time.Time, 1)
			s := &shift{term: t, begun: time.Now(), ended: ended}
			ch <- s
			<-ctx.Done()
			s.cause = context.Cause(ctx)
			ended <- time.Now()
			end()
			return ctx.Err()
		})
	}()
	return ch, stop
}

// random is the name of an election that no other test has.
func random() string { return "election-" + rand.Text() }

// within returns what comes from ch in time d.
func within[T any](t *testing.T, d time.Duration, ch <-chan T, promise string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(d):
		require.FailNow(t, "too late", "%s (waited %v)", promise, d)
	}
	panic("unreachable")
}
