// Package members_test runs package members against real servers and under faults.
package members_test

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/concordkit/concord/internal/integration/redisserver"
	"github.com/concordkit/concord/internal/integration/stores"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/ring"
	"github.com/concordkit/concord/ring/members"
)

func TestMain(m *testing.M) {
	redisserver.Report()
	flag.Parse()
	flag.Set("test.parallel", "2") // each test is a hundred processes
	goleak.VerifyTestMain(m)
}

const (
	// ttl is longer than any of the servers takes to restart.
	ttl = 6 * time.Second
	// patience is what a loaded machine may take beyond a TTL.
	patience = 20 * time.Second
)

// process follows the set, and may be a member of it.
type process struct {
	link
	locks *lock.Locker
	ring  *ring.Ring
	self  *members.Member
	empty atomic.Bool // its ring has been empty after it was not
}

// link is a process's way to the backend. While it is down nothing passes, releases included: the process has crashed.
type link struct {
	lock.Backend
	down atomic.Bool
}

func (l *link) Renew(ctx context.Context, cs []lock.Claim) ([]lock.State, error) {
	if l.down.Load() {
		return make([]lock.State, len(cs)), context.DeadlineExceeded
	}
	return l.Backend.Renew(ctx, cs)
}

func (l *link) Acquire(ctx context.Context, c lock.Claim, notify func(lock.State)) (lock.State, error) {
	if l.down.Load() {
		return lock.State{}, context.DeadlineExceeded
	}
	return l.Backend.Acquire(ctx, c, notify)
}

func (l *link) Release(ctx context.Context, c lock.Claim) (bool, error) {
	if l.down.Load() {
		return false, context.DeadlineExceeded
	}
	return l.Backend.Release(ctx, c)
}

// fleet is many processes on one store.
type fleet struct {
	t    *testing.T
	ctx  context.Context // ends all followers
	set  string
	ps   []*process
	work sync.WaitGroup
}

// newFleet makes n processes, each with a client of its own: what crashes must not be kept alive by another.
func newFleet(t *testing.T, s stores.Store, n int) *fleet {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	f := &fleet{t: t, ctx: ctx, set: "members-" + rand.Text()}
	for range n {
		r, err := ring.New(nil, &ring.Options{Placement: ring.Slots(10)})
		require.NoError(t, err)
		p := &process{link: link{Backend: s.Connect(t, nil)}, ring: r}
		p.locks = lock.New(&p.link, &lock.Options{TTL: ttl})
		f.ps = append(f.ps, p)
	}
	t.Cleanup(func() {
		cancel()
		f.work.Wait()
		each(f.ps, func(p *process) {
			p.down.Store(false)
			if p.self != nil {
				p.self.Leave(ctx)
			}
			stop, done := context.WithTimeout(context.Background(), 5*ttl)
			defer done()
			if err := p.locks.Close(stop); err != nil {
				t.Errorf("Close must end: %v", err)
			}
		})
	})
	return f
}

// wave is how many processes start at once: all share the machine with their server.
const wave = 16

// each calls fn for all of ps, with some at once.
func each(ps []*process, fn func(*process)) {
	var all sync.WaitGroup
	free := make(chan struct{}, wave)
	for _, p := range ps {
		free <- struct{}{}
		all.Go(func() {
			defer func() { <-free }()
			fn(p)
		})
	}
	all.Wait()
}

// id is the ID of the process with that number.
func id(i int) string { return fmt.Sprintf("node-%02d", i) }

// join makes members of the processes from one up to another.
func (f *fleet) join(from, to int) {
	number := map[*process]int{}
	for i := from; i < to; i++ {
		number[f.ps[i]] = i
	}
	each(f.ps[from:to], func(p *process) {
		ctx, cancel := context.WithTimeout(f.ctx, patience)
		defer cancel()
		for { // a server that is away is an error for who is not a member yet
			m, err := members.Join(ctx, p.locks, f.set, node(number[p]), &members.Options{Drain: 500 * time.Millisecond})
			if err == nil {
				p.self = m
				return
			}
			if ctx.Err() != nil {
				f.t.Errorf("%s: %v", id(number[p]), err)
				return
			}
		}
	})
}

func node(i int) ring.Node {
	return ring.Node{ID: id(i), Addr: "10.0.0.1:" + fmt.Sprint(i), Zone: fmt.Sprint(i % 3)}
}

// follow lets all processes follow, and notes whose ring is empty once it was not.
func (f *fleet) follow() {
	each(f.ps, func(p *process) {
		if err := members.Follow(f.ctx, p.locks, f.set, p.ring, nil); err != nil {
			f.t.Errorf("follow: %v", err)
			return
		}
		f.work.Go(func() {
			was := false
			for c, err := range p.ring.Watch(f.ctx).All(f.ctx) {
				if err != nil {
					return
				}
				_, ok := c.New.LookupID("key")
				if was && !ok {
					p.empty.Store(true)
				}
				was = was || ok
			}
		})
	})
}

// settles waits until all of ps have the ring of exactly these nodes, and returns how long the last one took.
func (f *fleet) settles(ps []*process, nodes []ring.Node, within time.Duration, promise string) time.Duration {
	f.t.Helper()
	want, err := ring.New(nodes, &ring.Options{Placement: ring.Slots(10)})
	require.NoError(f.t, err)
	start := time.Now()
	ctx, cancel := context.WithTimeout(f.ctx, within)
	defer cancel()
	var late atomic.Int64
	var all sync.WaitGroup
	for _, p := range ps {
		all.Go(func() {
			for c, err := range p.ring.Watch(ctx).All(ctx) {
				if err != nil {
					late.Add(1)
					return
				}
				if c.Fingerprint == want.View().Fingerprint() {
					return
				}
			}
		})
	}
	all.Wait()
	if late.Load() > 0 {
		f.t.Logf("for example: %v", difference(ps[0].ring.View(), want.View()))
	}
	require.Zero(f.t, late.Load(), "%s: so many followers of %d did not within %v", promise, len(ps), within)
	return time.Since(start)
}

// difference tells what a ring has too much, with a plus, or lacks.
func difference(has, want *ring.View) (d []string) {
	for _, n := range has.Nodes() {
		if w, ok := want.Node(n.ID); !ok || w.State != n.State {
			d = append(d, "+"+n.ID+" "+n.State.String())
		}
	}
	for _, n := range want.Nodes() {
		if _, ok := has.Node(n.ID); !ok {
			d = append(d, "-"+n.ID)
		}
	}
	return d
}

func nodes(from, to int) []ring.Node {
	var ns []ring.Node
	for i := from; i < to; i++ {
		ns = append(ns, node(i))
	}
	return ns
}

// Of 80 members 20 crash, 20 leave and 20 join, and the server restarts meanwhile. All 80 followers that are alive end
// with the same ring, and none ever saw an empty one.
func TestFleet(t *testing.T) {
	stores.OnDurable(t, func(t *testing.T, s stores.Durable) {
		f := newFleet(t, s, 100)
		f.join(0, 80)
		f.follow()
		f.settles(f.ps, nodes(0, 80), patience, "the first members")

		for _, p := range f.ps[:20] {
			p.down.Store(true)
		}
		var all sync.WaitGroup
		for _, p := range f.ps[20:40] {
			all.Go(func() {
				// The restart may swallow the release; then it ends with its TTL.
				if err := p.self.Leave(f.ctx); err != nil {
					t.Logf("leave: %v", err)
				}
			})
		}
		all.Go(func() { s.Crash() })
		all.Go(func() { f.join(80, 100) })
		all.Wait()
		took := f.settles(f.ps[20:], nodes(40, 100), 2*ttl+patience, "the members that are left")
		t.Logf("settled %v after the last join", took.Round(10*time.Millisecond))
		for i, p := range f.ps {
			require.False(t, p.empty.Load(), "follower %d saw an empty ring", i)
		}
	})
}

// What no server disturbs: a member that leaves is out of all rings after its drain time, one that crashes within its TTL.
func TestLeaveAndCrash(t *testing.T) {
	stores.OnEach(t, func(t *testing.T, s stores.Store) {
		const n = 20
		f := newFleet(t, s, n)
		f.join(0, n)
		f.follow()
		f.settles(f.ps, nodes(0, n), patience, "the first members")

		start := time.Now()
		left := make(chan error, 1)
		go func() { left <- f.ps[0].self.Leave(f.ctx) }()
		f.settles(f.ps[1:], nodes(1, n), ttl/2, "a member that leaves gets no new keys")
		t.Logf("leave: %v", time.Since(start).Round(time.Millisecond))
		require.NoError(t, <-left)

		start = time.Now()
		f.ps[1].down.Store(true)
		f.settles(f.ps[2:], nodes(2, n), ttl+2*time.Second, "a member that crashed is gone with its lease")
		t.Logf("crash: %v", time.Since(start).Round(10*time.Millisecond))
	})
}

// Two processes that claim one ID cannot both be members.
func TestOneID(t *testing.T) {
	stores.OnEach(t, func(t *testing.T, s stores.Store) {
		f := newFleet(t, s, 2)
		f.join(0, 1)
		ctx, cancel := context.WithTimeout(f.ctx, ttl)
		defer cancel()
		_, err := members.Join(ctx, f.ps[1].locks, f.set, node(0), nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}
