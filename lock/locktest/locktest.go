// Package locktest is the conformance suite of package lock: every promise of [lock.Backend], and of a [lock.Locker] on
// top of it, has a case.
//
//	func TestConformance(t *testing.T) {
//		locktest.Run(t, func(t *testing.T) func() lock.Backend {
//			return func() lock.Backend { return redislock.New(newClient(t), nil) }
//		}, nil)
//	}
package locktest

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/lock"
)

// Options configure [Run]. A nil *Options means the defaults.
type Options struct {
	// TTL is the TTL of the leases in the suite, which waits for several of them to pass. It must be a multiple of the
	// engine's granularity. It defaults to 2 s.
	TTL time.Duration
	// Bubble wraps each case: [testing/synctest.Test] for an engine without I/O, so that no time passes. Nil runs
	// cases as they are, in parallel.
	Bubble func(*testing.T, func(*testing.T))
}

// Run checks every promise of [lock.Backend]. Each case calls newStore once, and what that returns once for every
// process that the case simulates: the Backends of one store share their leases, as clients of one server do. Names are
// random, so that all stores may be one server.
func Run(t *testing.T, newStore func(t *testing.T) (connect func() lock.Backend), o *Options) {
	if o == nil {
		o = new(Options)
	}
	for _, c := range cases {
		t.Run(c.promise, func(t *testing.T) {
			if o.Bubble == nil {
				t.Parallel()
				c.run(newSuite(t, newStore, o.TTL))
				return
			}
			o.Bubble(t, func(t *testing.T) { c.run(newSuite(t, newStore, o.TTL)) })
		})
	}
}

type testCase struct {
	promise string
	run     func(*suite)
}

var cases = []testCase{
	{"a name has one holder", oneHolder},
	{"names are told apart", namesApart},
	{"waiters are served in order", servedInOrder},
	{"a busy name is held by one at a time", busyName},
	{"a grant is pushed", grantPushed},
	{"readers share and writers do not starve", readersShare},
	{"a semaphore fills its capacity and no more", semaphore},
	{"a crowd of one process shares a name", crowdShares},
	{"the smallest capacity in line rules", smallestCapacity},
	{"grants follow the rule", grantsFollowRule},
	{"several names are taken together", together},
	{"a claim lives its TTL and no longer", livesTTL},
	{"a renewed claim lives on", renewedLives},
	{"nothing revives a dead claim", deadStays},
	{"dead waiters cost one TTL in all", deadWaiters},
	{"a waiter behind a dead one keeps its place", placeKept},
	{"a grant extends nothing", grantExtendsNothing},
	{"a wait that ends leaves nothing", waitLeavesNothing},
	{"a released claim is refused later", refusedLater},
	{"an acquire may be repeated", acquireRepeated},
	{"a claim that does not wait leaves no trace", noWaitNoTrace},
	{"a try may be repeated", tryRepeated},
	{"close releases and ends waits", closeEnds},
	{"tokens grow with every grant", tokensGrow},
	{"a watch shows the holders and every change", watchShows},
	{"a watch sees expiry", watchSeesExpiry},
	{"a watch ends with its context", watchEnds},
	{"values are shown and bounded", valuesShown},
	{"states come in the order of the claims", statesInOrder},
	{"the engine says what it is", infoSays},
}

// suite is one case at work.
type suite struct {
	*testing.T
	ttl     time.Duration
	connect func() lock.Backend
}

func newSuite(t *testing.T, newStore func(*testing.T) func() lock.Backend, ttl time.Duration) *suite {
	if ttl == 0 {
		ttl = 2 * time.Second
	}
	return &suite{T: t, ttl: ttl, connect: newStore(t)}
}

// locker returns the Locker of a new process.
func (s *suite) locker() *lock.Locker { return s.tracedLocker(nil) }

func (s *suite) tracedLocker(trace *lock.Trace) *lock.Locker {
	l := lock.New(s.connect(), &lock.Options{TTL: s.ttl, Trace: trace})
	s.Cleanup(func() {
		ctx, stop := context.WithTimeout(context.Background(), 10*s.ttl)
		defer stop()
		require.NoError(s, l.Close(ctx), "Close must end")
	})
	return l
}

// name returns a name that no other case uses.
func (s *suite) name() string { return "locktest-" + rand.Text() }

// claim returns a claim for a Backend itself, which nobody renews.
func (s *suite) claim(name string) lock.Claim {
	return lock.Claim{Name: name, ID: rand.Text(), Weight: lock.All, Capacity: lock.All, TTL: s.ttl}
}

func (s *suite) acquire(l *lock.Locker, name string) *lock.Lease {
	s.Helper()
	return s.hold(l, lock.Claim{Name: name})
}

func (s *suite) hold(l *lock.Locker, c lock.Claim) *lock.Lease {
	s.Helper()
	lease, err := l.Claim(s.Context(), c)
	require.NoError(s, err)
	return lease
}

func (s *suite) release(leases ...*lock.Lease) {
	s.Helper()
	for _, lease := range leases {
		require.NoError(s, lease.Release())
	}
}

func (s *suite) held(l *lock.Locker, c lock.Claim) {
	s.Helper()
	c.NoWait = true
	_, err := l.Claim(s.Context(), c)
	require.ErrorIs(s, err, lock.ErrHeld, "a claim that does not fit must be refused")
}

// waiter is an acquire that has to wait.
type waiter struct {
	s     *suite
	lease chan *lock.Lease
	err   chan error
}

// wait puts c in line in a process of its own and returns once it is there.
func (s *suite) wait(ctx context.Context, c lock.Claim) *waiter {
	s.Helper()
	w := &waiter{s: s, lease: make(chan *lock.Lease, 1), err: make(chan error, 1)}
	queued := make(chan struct{}, 1)
	l := s.tracedLocker(&lock.Trace{Queued: func(context.Context, lock.Claim) { queued <- struct{}{} }})
	go func() {
		lease, err := l.Claim(ctx, c)
		if err != nil {
			w.err <- err
			return
		}
		w.lease <- lease
	}()
	select {
	case <-queued:
	case <-w.lease:
		require.Fail(s, "granted at once", "a claim that does not fit must wait")
	case err := <-w.err:
		require.NoError(s, err)
	}
	return w
}

// blocked fails if the wait is over; it gives a wrong grant some time to come.
func (w *waiter) blocked() {
	w.s.Helper()
	select {
	case <-w.lease:
		require.Fail(w.s, "granted", "a claim must wait while it does not fit")
	case err := <-w.err:
		require.NoError(w.s, err)
	case <-time.After(w.s.ttl / 20):
	}
}

// granted returns the lease, which must come within d.
func (w *waiter) granted(d time.Duration, promise string) *lock.Lease {
	w.s.Helper()
	select {
	case lease := <-w.lease:
		return lease
	case err := <-w.err:
		require.NoError(w.s, err, promise)
	case <-time.After(d):
		require.Fail(w.s, "not granted", "%s (waited %v)", promise, d)
	}
	return nil
}

// pushed returns the lease, which must come sooner than a renewal would have found it.
func (w *waiter) pushed() *lock.Lease {
	w.s.Helper()
	return w.granted(w.s.ttl/4, "a grant must be pushed")
}

// slack is how much later than its instant something may come on a loaded machine. Engines that count TTLs in whole
// seconds, or look for dead leases now and then, need most of it.
const slack = 1500 * time.Millisecond
