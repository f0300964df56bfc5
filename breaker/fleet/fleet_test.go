package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/breaker"
	"github.com/concordkit/concord/breaker/fleet"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/memlock"
)

const ttl = 3 * time.Second

var (
	errDown  = errors.New("no route")
	errFails = errors.New("fails")
)

// link is a process's way to the backend. While it is down nothing passes, releases included: the process has crashed, or
// is cut off. Each way takes delay.
type link struct {
	lock.Backend
	down  atomic.Bool
	delay time.Duration
	calls atomic.Int64
}

func (l *link) pass() error {
	l.calls.Add(1)
	time.Sleep(l.delay)
	if l.down.Load() {
		return errDown
	}
	return nil
}

func (l *link) Acquire(ctx context.Context, c lock.Claim, notify func(lock.State)) (lock.State, error) {
	if err := l.pass(); err != nil {
		return lock.State{}, err
	}
	defer time.Sleep(l.delay)
	return l.Backend.Acquire(ctx, c, notify)
}

func (l *link) Renew(ctx context.Context, cs []lock.Claim) ([]lock.State, error) {
	if err := l.pass(); err != nil {
		return make([]lock.State, len(cs)), err
	}
	defer time.Sleep(l.delay)
	return l.Backend.Renew(ctx, cs)
}

func (l *link) Release(ctx context.Context, c lock.Claim) (bool, error) {
	if err := l.pass(); err != nil {
		return false, err
	}
	defer time.Sleep(l.delay)
	return l.Backend.Release(ctx, c)
}

func (l *link) SetValue(ctx context.Context, c lock.Claim) (bool, error) {
	if err := l.pass(); err != nil {
		return false, err
	}
	defer time.Sleep(l.delay)
	return l.Backend.SetValue(ctx, c)
}

func (l *link) Watch(ctx context.Context, dir string, every time.Duration, emit func([]lock.Holder)) error {
	return l.Backend.Watch(ctx, dir, every, func(hs []lock.Holder) {
		time.Sleep(l.delay)
		if !l.down.Load() {
			emit(hs)
		}
	})
}

// node is a process with a link, a breaker and a member of its own.
type node struct {
	*link
	t     *testing.T
	name  string
	locks *lock.Locker
	b     *breaker.Breaker
	m     *fleet.Member
	sent  atomic.Int64 // calls that were let through
}

// rules opens a breaker at the third failure in a row, for a second, then 2 s and 4 s.
func rules() *breaker.Options {
	return &breaker.Options{
		Rules: breaker.Rules{Consecutive: 3, FailureRate: -1}, OpenFor: time.Second, MaxOpenFor: 4 * time.Second, Jitter: -1,
	}
}

func newNode(t *testing.T, backend lock.Backend, name string) *node {
	t.Helper()
	n := &node{link: &link{Backend: backend, delay: time.Millisecond}, t: t, name: name}
	n.locks = lock.New(n.link, &lock.Options{TTL: ttl})
	b, err := breaker.New("billing", rules())
	require.NoError(t, err)
	n.b = b
	t.Cleanup(func() {
		n.down.Store(false)
		n.locks.Close(context.Background())
	})
	return n
}

func (n *node) join(o fleet.Options) *node {
	n.t.Helper()
	o.Node = n.name
	if testing.Verbose() {
		begin := time.Now()
		go func() {
			for tr := range n.b.Transitions(n.t.Context()).All(n.t.Context()) {
				n.t.Log(time.Since(begin), n.name, tr)
			}
		}()
		say := func(format string, args ...any) {
			n.t.Log(append([]any{time.Since(begin), n.name}, fmt.Sprintf(format, args...))...)
		}
		o.Trace = &fleet.Trace{
			Opened:  func(s fleet.Snapshot) { say("opened %+v", s) },
			Closed:  func(s fleet.Snapshot) { say("closed %+v", s) },
			Blind:   func(_ string, err error) { say("blind: %v", err) },
			Refused: func(_ string, err error) { say("refused: %v", err) },
		}
	}
	ctx, cancel := context.WithTimeout(n.t.Context(), time.Minute)
	defer cancel()
	m, err := fleet.Join(ctx, n.locks, n.b, &o)
	require.NoError(n.t, err)
	n.m = m
	n.t.Cleanup(func() { require.NoError(n.t, m.Leave(context.Background())) })
	return n
}

// newFleet makes size members.
func newFleet(t *testing.T, backend lock.Backend, size int, o fleet.Options) []*node {
	t.Helper()
	var ns []*node
	for i := range size {
		ns = append(ns, newNode(t, backend, fmt.Sprint("n", i)).join(o))
	}
	settle()
	return ns
}

// call makes one call that ends with err, and reports whether it was let through.
func (n *node) call(err error) bool {
	return n.b.Do(n.t.Context(), func(context.Context) error {
		n.sent.Add(1)
		return err
	}) == err
}

// trip makes calls until the node's breaker opens by its own rules.
func (n *node) trip() {
	n.t.Helper()
	for range 3 {
		require.True(n.t, n.call(errFails))
	}
	require.Equal(n.t, breaker.Open, n.b.State())
}

// crash ends a process without a word.
func (n *node) crash() { n.down.Store(true) }

// traffic makes calls against s until the test ends.
func (n *node) traffic(s *service, every time.Duration) {
	n.t.Cleanup(func() { time.Sleep(time.Second) }) // for the call that is under way
	go func() {
		for n.t.Context().Err() == nil {
			n.b.Do(n.t.Context(), s.serve)
			time.Sleep(every)
		}
	}()
}

// service is what all call. It tells how often.
type service struct {
	failing atomic.Bool
	calls   atomic.Int64
	takes   time.Duration
}

func (s *service) serve(context.Context) error {
	s.calls.Add(1)
	time.Sleep(s.takes)
	if s.failing.Load() {
		return errFails
	}
	return nil
}

// settle lets time pass that is long for a round trip and short for a TTL.
func settle() {
	time.Sleep(50 * time.Millisecond)
	synctest.Wait()
}

func open(ns []*node) (names []string) {
	for _, n := range ns {
		if n.b.State() != breaker.Closed {
			names = append(names, n.name)
		}
	}
	return names
}

func bubble(t *testing.T, fn func(t *testing.T, backend lock.Backend)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { fn(t, memlock.New()) })
}

func TestQuorumOpensAll(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		ns := newFleet(t, backend, 20, fleet.Options{})
		require.Equal(t, 20, ns[7].m.Snapshot().Nodes)
		ns[3].trip()
		settle()
		require.Equal(t, []string{"n3"}, open(ns), "one bad node takes nobody along")
		require.Equal(t, 1, ns[7].m.Snapshot().Votes)
		ns[5].trip()
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		require.Len(t, open(ns), 20)
		s := ns[7].m.Snapshot()
		require.True(t, s.Open)
		require.Contains(t, []string{"n3", "n5"}, s.By)
		require.Equal(t, "consecutive failures", s.Reason)
		require.EqualValues(t, 1, s.Generation)
		err := ns[7].b.Do(t.Context(), nil2)
		e, ok := errors.AsType[*breaker.OpenError](err)
		require.True(t, ok)
		require.InDelta(t, time.Second, e.RetryAfter(), float64(20*time.Millisecond), "what is left, and no more")
		require.Contains(t, e.Reason, "fleet: by "+s.By)
	})
}

func nil2(context.Context) error { return nil }

func TestOneProbeClosesAll(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		ns := newFleet(t, backend, 20, fleet.Options{})
		ns[0].trip()
		ns[1].trip()
		settle()
		s := &service{takes: 30 * time.Millisecond}
		for _, n := range ns {
			n.traffic(s, 10*time.Millisecond)
		}
		time.Sleep(900 * time.Millisecond)
		require.Zero(t, s.calls.Load())
		time.Sleep(80 * time.Millisecond) // 1 s and three hops after the vote
		require.EqualValues(t, 1, s.calls.Load(), "one of 20 probes")
		settle()
		require.Empty(t, open(ns))
		require.False(t, ns[9].m.Snapshot().Open)
		time.Sleep(2 * time.Second)
		for _, n := range ns {
			require.Equal(t, uint64(1), n.m.Snapshot().Generation)
			require.False(t, n.m.Snapshot().Voting)
			require.Equal(t, breaker.Closed, n.b.State())
		}
	})
}

func TestPeriodsGrowAndHaveOneProbeEach(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		ns := newFleet(t, backend, 20, fleet.Options{})
		begin := time.Now()
		ns[0].trip()
		ns[1].trip()
		settle()
		s := &service{takes: 20 * time.Millisecond}
		s.failing.Store(true)
		for _, n := range ns {
			n.traffic(s, 10*time.Millisecond)
		}
		until := func(at time.Duration) { time.Sleep(time.Until(begin.Add(at))) }
		// 1 s, then 2, 4 and 4, each with a probe of 20 ms and a few hops.
		for i, at := range []time.Duration{1100, 3150, 7200, 11200} {
			until(at*time.Millisecond - 200*time.Millisecond)
			require.EqualValues(t, i, s.calls.Load())
			until(at * time.Millisecond)
			require.EqualValues(t, i+1, s.calls.Load())
			require.Equal(t, i+1, ns[13].m.Snapshot().Period)
		}
		s.failing.Store(false)
		until(16 * time.Second)
		require.Empty(t, open(ns))
	})
}

func TestLateJoiner(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		ns := newFleet(t, backend, 3, fleet.Options{})
		ns[0].trip()
		ns[1].trip()
		settle()
		time.Sleep(700 * time.Millisecond)
		late := newNode(t, backend, "late").join(fleet.Options{})
		require.Equal(t, breaker.Open, late.b.State(), "when Join returns")
		settle()
		require.InDelta(t, 200*time.Millisecond, late.m.Snapshot().OpenFor, float64(20*time.Millisecond))
		time.Sleep(250 * time.Millisecond)
		require.False(t, late.call(nil), "the one that brings the probe")
		settle()
		require.True(t, late.call(nil))
		settle()
		require.Empty(t, open(append(ns, late)))
	})
}

func TestDeadOpenerIsSucceeded(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		ns := newFleet(t, backend, 5, fleet.Options{})
		require.NoError(t, ns[0].m.Trip(t.Context(), "maintenance", 10*time.Second))
		settle()
		require.Len(t, open(ns), 5)
		ns[0].crash()
		time.Sleep(ttl + 500*time.Millisecond)
		synctest.Wait()
		s := ns[3].m.Snapshot()
		require.True(t, s.Open)
		require.NotEqual(t, "n0", s.By)
		require.Equal(t, "maintenance", s.Reason)
		late := newNode(t, backend, "late").join(fleet.Options{})
		settle()
		require.InDelta(t, 10*time.Second-ttl-650*time.Millisecond, late.m.Snapshot().OpenFor, float64(200*time.Millisecond))
		time.Sleep(7 * time.Second)
		require.False(t, ns[2].call(nil))
		settle()
		require.True(t, ns[2].call(nil))
		settle()
		require.Empty(t, open(ns[1:]))
	})
}

func TestStaleVoteDoesNotReopen(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		ns := newFleet(t, backend, 4, fleet.Options{})
		ns[0].crash() // it cannot say that it votes, and will not hear that the fleet opens and closes
		ns[0].trip()
		ns[1].trip()
		ns[2].trip()
		time.Sleep(1100 * time.Millisecond)
		ns[3].call(nil)
		settle()
		ns[3].call(nil)
		settle()
		require.Equal(t, []string{"n0"}, open(ns))
		ns[0].down.Store(false)
		time.Sleep(2 * ttl)
		require.EqualValues(t, 1, ns[0].m.Snapshot().Generation)
		require.Zero(t, ns[3].m.Snapshot().Votes, "it was for a generation that is over")
		ns[1].trip()
		settle()
		require.Equal(t, []string{"n0", "n1"}, open(ns))
		ns[2].trip()
		settle()
		require.Len(t, open(ns), 4)
		require.EqualValues(t, 2, ns[3].m.Snapshot().Generation)
	})
}

func TestVoteEnds(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		ns := newFleet(t, backend, 3, fleet.Options{VoteTTL: 10 * time.Second})
		ns[0].trip()
		settle()
		require.Equal(t, 1, ns[2].m.Snapshot().Votes)
		time.Sleep(10 * time.Second)
		settle()
		require.Zero(t, ns[2].m.Snapshot().Votes)
		require.True(t, ns[0].call(errFails), "a probe of its own")
		settle()
		require.Equal(t, 1, ns[2].m.Snapshot().Votes, "tells anew")
		time.Sleep(2100 * time.Millisecond)
		require.True(t, ns[0].call(nil))
		settle()
		require.Zero(t, ns[2].m.Snapshot().Votes, "it has closed")
		ns[1].trip()
		settle()
		require.Equal(t, []string{"n1"}, open(ns))
	})
}

func TestShare(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		ns := newFleet(t, backend, 10, fleet.Options{Quorum: 1, Share: 0.3})
		require.Equal(t, 3, ns[0].m.Snapshot().Needed)
		ns[0].trip()
		ns[1].trip()
		settle()
		require.Len(t, open(ns), 2)
		ns[2].trip()
		settle()
		require.Len(t, open(ns), 10)
	})
}

// A prober to whom no call comes lets another one try.
func TestProbeIsPassedOn(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		ns := newFleet(t, backend, 3, fleet.Options{})
		ns[0].trip()
		ns[1].trip()
		settle()
		time.Sleep(time.Second)
		require.False(t, ns[0].call(nil)) // it asks for the lease, and never calls again
		settle()
		require.False(t, ns[2].call(nil))
		time.Sleep(1200 * time.Millisecond)
		require.False(t, ns[2].call(nil), "it was passed on, but this one has to ask")
		settle()
		require.True(t, ns[2].call(nil))
		settle()
		require.Empty(t, open(ns))
	})
}

func TestDeadProber(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		ns := newFleet(t, backend, 3, fleet.Options{})
		ns[0].trip()
		ns[1].trip()
		settle()
		time.Sleep(time.Second)
		require.False(t, ns[2].call(nil))
		settle()
		ns[2].crash() // with the lease "probe"
		require.False(t, ns[0].call(nil))
		time.Sleep(ttl + 500*time.Millisecond)
		require.False(t, ns[0].call(nil))
		settle()
		require.True(t, ns[0].call(nil))
		settle()
		require.Empty(t, open(ns[:2]))
	})
}

// One that hears nothing keeps its breaker open for the rest of the open time and a TTL, then it is on its own.
func TestBlindMember(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		ns := newFleet(t, backend, 3, fleet.Options{})
		require.NoError(t, ns[0].m.Trip(t.Context(), "x", 6*time.Second))
		settle()
		begin := time.Now()
		ns[2].crash()
		s := &service{}
		ns[2].traffic(s, 10*time.Millisecond)
		for s.calls.Load() == 0 {
			time.Sleep(10 * time.Millisecond)
		}
		require.Greater(t, time.Since(begin), 5950*time.Millisecond)
		require.LessOrEqual(t, time.Since(begin), 6*time.Second+ttl+50*time.Millisecond)
		settle()
		require.Equal(t, breaker.Closed, ns[2].b.State())
		require.True(t, ns[2].m.Snapshot().Blind)
	})
}

// Without the store each has its own breaker, and nobody waits for anything.
func TestStoreIsAway(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		ns := newFleet(t, backend, 3, fleet.Options{})
		for _, n := range ns {
			n.crash()
		}
		time.Sleep(3 * ttl)
		ns[0].trip()
		ns[1].trip()
		settle()
		require.Equal(t, []string{"n0", "n1"}, open(ns))
		require.True(t, ns[0].m.Snapshot().Blind)
		time.Sleep(time.Second)
		require.True(t, ns[0].call(nil), "its own rules")
		require.Equal(t, breaker.Closed, ns[0].b.State())
		for _, n := range ns {
			n.down.Store(false)
		}
		time.Sleep(2 * ttl)
		require.Equal(t, 3, ns[0].m.Snapshot().Nodes)
		ns[0].trip()
		settle()
		require.Len(t, open(ns), 3, "with the vote of n1, which is still open")
	})
}

func TestStoreLosesItsData(t *testing.T) {
	bubble(t, func(t *testing.T, _ lock.Backend) {
		s := &swap{}
		s.to(memlock.New())
		ns := newFleet(t, s, 5, fleet.Options{Share: 0.6})
		require.NoError(t, ns[0].m.Trip(t.Context(), "x", 20*time.Second))
		settle()
		s.to(memlock.New())
		time.Sleep(2 * ttl)
		settle()
		require.Len(t, open(ns), 5)
		require.True(t, ns[4].m.Snapshot().Open)
		require.Equal(t, 5, ns[4].m.Snapshot().Nodes)
		time.Sleep(20*time.Second - 2*ttl)
		require.False(t, ns[4].call(nil))
		settle()
		require.True(t, ns[4].call(nil))
		settle()
		require.Empty(t, open(ns))
	})
}

func TestJoinWithoutTheStore(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		n := newNode(t, backend, "n")
		n.down.Store(true)
		n.join(fleet.Options{})
		require.True(t, n.m.Snapshot().Blind)
		n.down.Store(false)
		time.Sleep(2 * ttl)
		require.False(t, n.m.Snapshot().Blind)
		require.Equal(t, 1, n.m.Snapshot().Nodes)
	})
}

func TestCallsCostNothing(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		ns := newFleet(t, backend, 2, fleet.Options{})
		before := ns[0].calls.Load()
		for range 100_000 {
			require.True(t, ns[0].call(nil))
		}
		require.Equal(t, before, ns[0].calls.Load())
	})
}

func TestOrders(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		ns := newFleet(t, backend, 3, fleet.Options{})
		require.NoError(t, ns[2].m.Trip(t.Context(), "deploy", time.Hour))
		settle()
		require.Len(t, open(ns), 3)
		require.NoError(t, ns[0].m.Trip(t.Context(), "again", time.Second), "it is open")
		require.NoError(t, ns[1].m.Restore(t.Context()))
		require.Equal(t, breaker.Closed, ns[1].b.State())
		settle()
		require.Empty(t, open(ns))
		require.NoError(t, ns[1].m.Restore(t.Context()))
		for _, d := range []time.Duration{0, -1, time.Millisecond - 1, 24*time.Hour + 1} {
			require.ErrorIs(t, ns[1].m.Trip(t.Context(), "bad", d), fleet.ErrInvalid)
		}
		ns[0].crash()
		time.Sleep(2 * ttl)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, ns[0].m.Trip(ctx, "alone", time.Second), context.DeadlineExceeded)
		ns[0].down.Store(false)
		time.Sleep(2 * ttl)
		require.Empty(t, open(ns), "nobody wants it any more")
	})
}

func TestOperatorHasABreaker(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		ns := newFleet(t, backend, 4, fleet.Options{})
		ns[0].b.ForceOpen("maintenance")
		ns[1].b.Disable("trust me")
		settle()
		require.Zero(t, ns[2].m.Snapshot().Votes, "an operator does not vote")
		require.NoError(t, ns[2].m.Trip(t.Context(), "x", time.Second))
		settle()
		require.Equal(t, breaker.ForcedOpen, ns[0].b.State())
		require.True(t, ns[1].call(nil))
		time.Sleep(time.Second)
		ns[0].call(nil) // refused, but not by the fleet
		settle()
		require.False(t, ns[2].call(nil))
		settle()
		require.True(t, ns[2].call(nil), "it has not been kept from the probe")
		settle()
		require.Equal(t, breaker.Closed, ns[3].b.State())
		require.Equal(t, breaker.ForcedOpen, ns[0].b.State())
		require.Equal(t, breaker.Disabled, ns[1].b.State())
	})
}

func TestLeave(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		ns := newFleet(t, backend, 3, fleet.Options{})
		by := ns[0]
		require.NoError(t, by.m.Trip(t.Context(), "x", 10*time.Second))
		begin := time.Now()
		require.NoError(t, by.m.Leave(t.Context()))
		require.InDelta(t, time.Second, time.Since(begin), float64(50*time.Millisecond), "others may not have seen yet what it did")
		require.NoError(t, by.m.Leave(t.Context()))
		settle()
		require.Equal(t, 2, ns[2].m.Snapshot().Nodes)
		require.True(t, ns[2].m.Snapshot().Open, "it was succeeded")
		require.NotEqual(t, by.name, ns[2].m.Snapshot().By)
		require.Equal(t, breaker.Open, by.b.State())
		time.Sleep(9 * time.Second)
		require.True(t, by.call(nil), "its own rules, when the period is over")
		require.Error(t, by.m.Trip(t.Context(), "x", time.Second))
		require.False(t, ns[2].call(nil))
		settle()
		require.True(t, ns[2].call(nil))
		settle()
		require.Empty(t, open(ns))
	})
}
