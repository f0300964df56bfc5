// Package electiontest is the conformance suite of package election: every promise of an [election.Election] has a case,
// to be run on whatever lock.Backend elections are to run on.
//
//	func TestElections(t *testing.T) {
//		electiontest.Run(t, func(t *testing.T) func() lock.Backend {
//			return func() lock.Backend { return redislock.New(newClient(t), nil) }
//		}, nil)
//	}
//
// [Shifts] finds leaders that work at the same time, in tests of one's own too.
package electiontest

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/election"
	"github.com/concordkit/concord/lock"
)

// Options configure [Run]. A nil *Options means the defaults.
type Options struct {
	// TTL is the TTL of the leaderships in the suite, which waits for several of them to pass. It must be a multiple of the
	// engine's granularity. It defaults to 2 s.
	TTL time.Duration
	// Bubble wraps each case: [testing/synctest.Test] for an engine without I/O, so that no time passes. Nil runs
	// cases as they are, in parallel.
	Bubble func(*testing.T, func(*testing.T))
}

// Run checks every promise of package election. Each case calls newStore once, and what that returns once for every
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
	{"one leads at a time", oneLeads},
	{"elections are told apart", electionsApart},
	{"candidates lead in the order in which they came", inOrder},
	{"a leader that crashed is followed after its TTL", crashed},
	{"an election has a TTL of its own", ownTTL},
	{"work ends before another leader starts", cutOff},
	{"a leadership is kept while it can be", kept},
	{"resigning waits for the work", resignWaits},
	{"a function that returns nil has had its turn", turnOver},
	{"the error of a function ends a run", functionFails},
	{"a function that panics resigns", functionPanics},
	{"a run ends with its context", runEnds},
	{"nobody starts at shutdown", nobodyStarts},
	{"a function that goes on is reported and not joined by another", overrun},
	{"a campaign that ends leaves nothing", campaignEnds},
	{"a candidate that was removed does not lead", removed},
	{"a run campaigns again after a campaign that failed", campaignsAgain},
	{"a leadership tells its term and its end", leadershipTells},
	{"others see who leads", othersSee},
	{"values are shown and bounded", valuesShown},
	{"a watch shows every change and no older term", watchShows},
	{"a watch ends with its context", watchEnds},
	{"closing the Locker ends all", closeEnds},
}

// suite is one case at work.
type suite struct {
	*testing.T
	ttl     time.Duration
	connect func() lock.Backend
	name    string // of the election; no other case uses it
}

func newSuite(t *testing.T, newStore func(*testing.T) func() lock.Backend, ttl time.Duration) *suite {
	if ttl == 0 {
		ttl = 2 * time.Second
	}
	return &suite{T: t, ttl: ttl, connect: newStore(t), name: "electiontest-" + rand.Text()}
}

// node is a candidate in a process of its own.
type node struct {
	*election.Election
	s      *suite
	link   *link
	locks  *lock.Locker
	queued chan struct{} // when its claim has to wait
}

func (s *suite) node(id string) *node { return s.nodeWith(&election.Options{ID: id}) }

func (s *suite) nodeWith(o *election.Options) *node {
	n := &node{s: s, link: &link{Backend: s.connect()}, queued: make(chan struct{}, 100)}
	n.locks = lock.New(n.link, &lock.Options{TTL: s.ttl, Trace: &lock.Trace{
		Queued: func(context.Context, lock.Claim) { n.queued <- struct{}{} },
	}})
	n.Election = election.New(n.locks, s.name, o)
	s.Cleanup(func() {
		n.link.set(false)
		ctx, stop := context.WithTimeout(context.Background(), 10*s.ttl)
		defer stop()
		require.NoError(s, n.locks.Close(ctx), "Close must end")
	})
	return n
}

// lead campaigns where nobody else does.
func (n *node) lead() *election.Leadership {
	n.s.Helper()
	l, err := n.Campaign(n.s.Context())
	require.NoError(n.s, err)
	return l
}

// waits returns once a campaign of n waits in line.
func (n *node) waits() {
	n.s.Helper()
	receive(n.s, n.queued, n.s.ttl, "a candidate must wait while another one leads")
}

// campaign stands for election in the background and returns once it waits in line.
func (n *node) campaign(ctx context.Context) *campaign {
	n.s.Helper()
	c := &campaign{won: make(chan *election.Leadership, 1), failed: make(chan error, 1)}
	go func() {
		l, err := n.Campaign(ctx)
		if err != nil {
			c.failed <- err
			return
		}
		c.won <- l
	}()
	n.waits()
	return c
}

type campaign struct {
	won    chan *election.Leadership
	failed chan error
}

// run is a Run in the background.
type run struct {
	stop context.CancelCauseFunc
	done chan struct{}
	err  error
}

func (n *node) run(fn func(context.Context, election.Term) error) *run {
	ctx, stop := context.WithCancelCause(n.s.Context())
	r := &run{stop: stop, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.err = n.Run(ctx, fn)
	}()
	n.s.Cleanup(func() { stop(nil); <-r.done })
	return r
}

// ends returns the error of the Run, which must end within d.
func (r *run) ends(s *suite, d time.Duration, promise string) error {
	s.Helper()
	receive(s, r.done, d, promise)
	return r.err
}

// receive returns what comes from ch in time d.
func receive[T any](s *suite, ch <-chan T, d time.Duration, promise string) T {
	s.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(d):
		require.FailNow(s, "too late", "%s (waited %v)", promise, d)
	}
	panic("unreachable")
}

// pushed returns what must come sooner than a renewal would have found it.
func pushed[T any](s *suite, ch <-chan T) T {
	s.Helper()
	return receive(s, ch, s.ttl/4, "a leadership must be handed over at once")
}

// quiet fails if something comes from ch within d.
func quiet[T any](s *suite, ch <-chan T, d time.Duration, promise string) {
	s.Helper()
	select {
	case <-ch:
		require.FailNow(s, "too early", promise)
	case <-time.After(d):
	}
}

// slack is how much later than its instant something may come on a loaded machine. Engines that count TTLs in whole
// seconds, or look for dead leases now and then, need most of it.
const slack = 1500 * time.Millisecond

// untilEnd works for as long as the leadership lasts, and tells when it begins.
func untilEnd(shifts *Shifts, begun chan<- election.Term) func(context.Context, election.Term) error {
	return func(ctx context.Context, t election.Term) error {
		defer shifts.Begin(ctx, t)()
		begun <- t
		<-ctx.Done()
		return ctx.Err()
	}
}

// terms is where workers tell that they begin.
func terms() chan election.Term { return make(chan election.Term, 100) }
