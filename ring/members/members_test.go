package members_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/memlock"
	"github.com/concordkit/concord/ring"
	"github.com/concordkit/concord/ring/members"
)

const ttl = 3 * time.Second

// link is a process's way to the backend. While it is down nothing passes, releases included: the process has crashed, or
// is cut off.
type link struct {
	lock.Backend
	down atomic.Bool
}

var errDown = errors.New("no route")

func (l *link) Acquire(ctx context.Context, c lock.Claim, notify func(lock.State)) (lock.State, error) {
	if l.down.Load() {
		return lock.State{}, errDown
	}
	return l.Backend.Acquire(ctx, c, notify)
}

func (l *link) Renew(ctx context.Context, cs []lock.Claim) ([]lock.State, error) {
	if l.down.Load() {
		return make([]lock.State, len(cs)), errDown
	}
	return l.Backend.Renew(ctx, cs)
}

func (l *link) Release(ctx context.Context, c lock.Claim) (bool, error) {
	if l.down.Load() {
		return false, errDown
	}
	return l.Backend.Release(ctx, c)
}

func (l *link) SetValue(ctx context.Context, c lock.Claim) (bool, error) {
	if l.down.Load() {
		return false, errDown
	}
	return l.Backend.SetValue(ctx, c)
}

func (l *link) Watch(ctx context.Context, dir string, every time.Duration, emit func([]lock.Holder)) error {
	return l.Backend.Watch(ctx, dir, every, func(hs []lock.Holder) {
		if !l.down.Load() {
			emit(hs)
		}
	})
}

// process is one with a link and a Locker of its own.
type process struct {
	*link
	locks *lock.Locker
}

func newProcess(t *testing.T, b lock.Backend) *process {
	t.Helper()
	p := &process{link: &link{Backend: b}}
	p.locks = lock.New(p.link, &lock.Options{TTL: ttl})
	t.Cleanup(func() {
		p.down.Store(false)
		p.locks.Close(context.Background())
	})
	return p
}

func (p *process) join(t *testing.T, id string, o *members.Options) *members.Member {
	t.Helper()
	m, err := members.Join(t.Context(), p.locks, "cache", ring.Node{ID: id, Addr: id + ":80", Zone: "z"}, o)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		m.Leave(ctx)
	})
	return m
}

func (p *process) follow(t *testing.T, o *members.FollowOptions) *ring.Ring {
	t.Helper()
	r, err := ring.New(nil, nil)
	require.NoError(t, err)
	require.NoError(t, members.Follow(t.Context(), p.locks, "cache", r, o))
	return r
}

// shown returns what r knows: "a b(leaving)".
func shown(r *ring.Ring) string {
	var b []string
	for _, n := range r.View().Nodes() {
		s := n.ID
		if n.State != ring.Active {
			s += "(" + n.State.String() + ")"
		}
		b = append(b, s)
	}
	return strings.Join(b, " ")
}

// settle lets time pass that is long for a push and short for a TTL.
func settle() {
	time.Sleep(100 * time.Millisecond)
	synctest.Wait()
}

func TestJoinAndLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memlock.New()
		p := newProcess(t, b)
		a := p.join(t, "a", nil)
		r := newProcess(t, b).follow(t, nil)
		require.Equal(t, "a", shown(r), "the ring is up to date when Follow returns")
		n, ok := r.Lookup("k")
		require.True(t, ok)
		require.Equal(t, ring.Node{ID: "a", Addr: "a:80", Zone: "z", Weight: 1}, n)

		c := newProcess(t, b).join(t, "c", &members.Options{Drain: 2 * time.Second})
		settle()
		require.Equal(t, "a c", shown(r))

		start := time.Now()
		var left error
		var leaving sync.WaitGroup
		leaving.Go(func() { left = c.Leave(t.Context()) })
		settle()
		require.Equal(t, "a c(leaving)", shown(r), "it says so first")
		leaving.Wait()
		require.NoError(t, left)
		require.Equal(t, 2*time.Second, time.Since(start), "and stays for its drain time")
		settle()
		require.Equal(t, "a", shown(r))
		require.NoError(t, c.Leave(t.Context()), "once more is the same")

		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		start = time.Now()
		require.NoError(t, a.Leave(ctx))
		require.Equal(t, 50*time.Millisecond, time.Since(start), "an impatient one leaves at once")
		settle()
		require.Empty(t, shown(r), "the last one that leaves in order is not held back")
	})
}

func TestUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memlock.New()
		a := newProcess(t, b).join(t, "a", nil)
		r := newProcess(t, b).follow(t, nil)
		require.NoError(t, a.Update(t.Context(), func(n *ring.Node) {
			n.Weight, n.State, n.Meta = 2.5, ring.Joining, map[string]string{"version": "7"}
		}))
		settle()
		n, ok := r.View().Node("a")
		require.True(t, ok)
		require.Equal(t, ring.Node{
			ID: "a", Addr: "a:80", Zone: "z", Weight: 2.5, State: ring.Joining, Meta: map[string]string{"version": "7"},
		}, n)
		require.Equal(t, n, a.Node())

		require.ErrorIs(t, a.Update(t.Context(), nil), members.ErrInvalid)
		err := a.Update(t.Context(), func(n *ring.Node) { n.ID = "b" })
		require.ErrorContains(t, err, `edit changed the ID "a" to "b"`)
		err = a.Update(t.Context(), func(n *ring.Node) { n.Weight = -1 })
		require.ErrorIs(t, err, members.ErrInvalid)
		require.ErrorIs(t, err, ring.ErrInvalid)
		require.Equal(t, n, a.Node(), "what was refused changes nothing")

		require.NoError(t, a.Leave(t.Context()))
		require.Error(t, a.Update(t.Context(), func(*ring.Node) {}), "it has left")
	})
}

// Many at once: the last one wins everywhere.
func TestUpdatesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memlock.New()
		a := newProcess(t, b).join(t, "a", nil)
		r := newProcess(t, b).follow(t, nil)
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if err := a.Update(t.Context(), func(n *ring.Node) { n.Weight += 1 }); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		settle()
		n, _ := r.View().Node("a")
		require.Equal(t, 20., n.Weight)
	})
}

// A second process with the same ID waits until the first one is gone.
func TestOneIDAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memlock.New()
		first, second := newProcess(t, b), newProcess(t, b)
		first.join(t, "a", nil)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := members.Join(ctx, second.locks, "cache", ring.Node{ID: "a"}, nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)

		first.down.Store(true) // it crashes, and starts again
		start := time.Now()
		second.join(t, "a", nil)
		require.LessOrEqual(t, time.Since(start), ttl)
	})
}

func TestCrashIsSeenWithinTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memlock.New()
		for _, id := range []string{"a", "b", "c"} {
			newProcess(t, b).join(t, id, nil)
		}
		d := newProcess(t, b)
		d.join(t, "d", nil)
		r := newProcess(t, b).follow(t, nil)
		require.Equal(t, "a b c d", shown(r))
		d.down.Store(true)
		time.Sleep(ttl + 100*time.Millisecond)
		require.Equal(t, "a b c", shown(r))
	})
}

// A member that was cut off joins again by itself, with what was changed meanwhile.
func TestLostMemberRejoins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memlock.New()
		var mu sync.Mutex
		var told []string
		tell := func(s string) {
			mu.Lock()
			defer mu.Unlock()
			if len(told) == 0 || told[len(told)-1] != s {
				told = append(told, s)
			}
		}
		p := newProcess(t, b)
		a := p.join(t, "a", &members.Options{Trace: &members.Trace{
			Lost:     func(_ string, n ring.Node, _ error) { tell("lost " + n.ID) },
			Rejoined: func(_ string, n ring.Node) { tell("rejoined " + n.ID) },
		}})
		newProcess(t, b).join(t, "b", nil)
		r := newProcess(t, b).follow(t, nil)
		p.down.Store(true)
		time.Sleep(2 * ttl)
		require.Equal(t, "b", shown(r))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, a.Update(ctx, func(n *ring.Node) { n.Weight = 3 }), context.DeadlineExceeded)
		var updated error
		var update sync.WaitGroup
		update.Go(func() { updated = a.Update(t.Context(), func(n *ring.Node) { n.Addr = "elsewhere" }) })
		settle()
		p.down.Store(false)
		update.Wait()
		require.NoError(t, updated, "it waits until the member is back")
		settle()
		require.Equal(t, "a b", shown(r))
		n, _ := r.View().Node("a")
		require.Equal(t, "elsewhere", n.Addr)
		require.Equal(t, 3., n.Weight)
		mu.Lock()
		require.Equal(t, []string{"lost a", "rejoined a"}, told)
		mu.Unlock()
		require.NoError(t, a.Leave(t.Context()))
	})
}

// Leaving while cut off ends in time and leaves nothing behind.
func TestLeaveWhileCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memlock.New()
		p := newProcess(t, b)
		a := p.join(t, "a", &members.Options{Drain: time.Second})
		r := newProcess(t, b).follow(t, &members.FollowOptions{Hold: -1})
		p.down.Store(true)
		time.Sleep(2 * ttl) // it tries to rejoin
		start := time.Now()
		require.Error(t, a.Leave(t.Context()))
		require.LessOrEqual(t, time.Since(start), time.Second)
		p.down.Store(false)
		time.Sleep(2 * ttl)
		require.Empty(t, shown(r), "it does not come back")
	})
}

func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memlock.New()
		var crash []*process
		for i := range 6 {
			p := newProcess(t, b)
			p.join(t, fmt.Sprint(i), nil)
			crash = append(crash, p)
		}
		var mu sync.Mutex
		var held []string
		f := newProcess(t, b)
		r := f.follow(t, &members.FollowOptions{Hold: 10 * time.Second, Trace: &members.Trace{
			Held: func(set string, kept, active int, hold time.Duration) {
				mu.Lock()
				defer mu.Unlock()
				held = append(held, fmt.Sprint(set, " ", kept, " ", active, " ", hold))
			},
		}})
		for i, p := range crash[1:] { // one after the other, as leases run out
			time.Sleep(100 * time.Millisecond)
			p.down.Store(true)
			require.Len(t, r.View().Nodes(), 6, i)
		}
		time.Sleep(ttl + time.Second)
		kept := len(r.View().Nodes())
		require.GreaterOrEqual(t, kept, 3, "five of six vanish: it keeps a half or more")
		mu.Lock()
		require.Len(t, held, 1)
		require.Regexp(t, "cache [1-5] 6 10s", held[0])
		mu.Unlock()
		newProcess(t, b).join(t, "7", nil)
		settle()
		require.Len(t, r.View().Nodes(), kept+1, "a join is let through")
		require.Contains(t, shown(r), "7")
		time.Sleep(15 * time.Second)
		require.Equal(t, "0 7", shown(r), "let go after the hold, though nothing more has happened")
	})
}

// A server that lost its data does not empty the ring: members are back before the hold is over.
func TestEmptyRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := memlock.New(), memlock.New()
		s := &swap{Backend: first}
		for i := range 5 {
			newProcess(t, s).join(t, fmt.Sprint(i), nil)
		}
		p := newProcess(t, s)
		r := p.follow(t, nil)
		var empty atomic.Bool
		go func() {
			for c, err := range r.Watch(t.Context()).All(t.Context()) {
				if err == nil && len(c.New.Nodes()) < 5 {
					empty.Store(true)
				}
			}
		}()
		s.to(second)
		time.Sleep(4 * ttl)
		require.Equal(t, "0 1 2 3 4", shown(r))
		require.False(t, empty.Load(), "no follower sees it empty")
	})
}

// swap is a server that restarts without its data.
type swap struct {
	mu sync.Mutex
	lock.Backend
	ends []context.CancelFunc
}

func (s *swap) now() lock.Backend {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Backend
}

func (s *swap) to(b lock.Backend) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Backend = b
	for _, end := range s.ends {
		end()
	}
	s.ends = nil
}

func (s *swap) Acquire(ctx context.Context, c lock.Claim, notify func(lock.State)) (lock.State, error) {
	return s.now().Acquire(ctx, c, notify)
}

func (s *swap) Renew(ctx context.Context, cs []lock.Claim) ([]lock.State, error) {
	return s.now().Renew(ctx, cs)
}

func (s *swap) Release(ctx context.Context, c lock.Claim) (bool, error) {
	return s.now().Release(ctx, c)
}

func (s *swap) Watch(ctx context.Context, dir string, every time.Duration, emit func([]lock.Holder)) error {
	for ctx.Err() == nil {
		run, cancel := context.WithCancel(ctx)
		s.mu.Lock()
		b := s.Backend
		s.ends = append(s.ends, cancel)
		s.mu.Unlock()
		b.Watch(run, dir, every, emit)
		cancel()
	}
	return ctx.Err()
}

// A follower that cannot learn anything leaves the ring as it is, says so, and goes on when it can.
func TestBlindFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memlock.New()
		newProcess(t, b).join(t, "a", nil)
		p := newProcess(t, b)
		var blind atomic.Int64
		r := p.follow(t, &members.FollowOptions{Trace: &members.Trace{
			Blind: func(_ string, err error) { blind.Add(1); require.ErrorIs(t, err, lock.ErrBlind) },
		}})
		p.down.Store(true)
		newProcess(t, b).join(t, "b", nil)
		time.Sleep(5 * ttl)
		require.Equal(t, "a", shown(r))
		require.Positive(t, blind.Load())
		p.down.Store(false)
		time.Sleep(ttl)
		require.Equal(t, "a b", shown(r))
	})
}

// What is in the directory but no node is left out, and what the ring refuses leaves it as it was.
func TestStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memlock.New()
		p := newProcess(t, b)
		p.join(t, "a", nil)
		_, err := p.locks.Claim(t.Context(), lock.Claim{Dir: "cache", Name: "x", Value: []byte("not json")})
		require.NoError(t, err)
		_, err = p.locks.Claim(t.Context(), lock.Claim{Dir: "cache", Name: "y", Value: []byte(`{"weight":-3,"state":"active"}`)})
		require.NoError(t, err)
		var mu sync.Mutex
		var refused []string
		trace := &members.Trace{Refused: func(_ string, err error) {
			mu.Lock()
			defer mu.Unlock()
			refused = append(refused, err.Error())
		}}
		r := newProcess(t, b).follow(t, &members.FollowOptions{Trace: trace})
		require.Equal(t, "a", shown(r))
		settle()
		mu.Lock()
		require.Len(t, refused, 2)
		require.Contains(t, refused[0], `"x" has the value "not json"`)
		require.Contains(t, refused[1], "weight -3")
		mu.Unlock()

		whole, err := ring.New(nil, &ring.Options{Placement: ring.Ketama()})
		require.NoError(t, err)
		require.NoError(t, members.Follow(t.Context(), p.locks, "cache", whole, &members.FollowOptions{Trace: trace}))
		c := newProcess(t, b).join(t, "c", nil)
		settle()
		require.Equal(t, "a c", shown(whole))
		require.NoError(t, c.Update(t.Context(), func(n *ring.Node) { n.Weight = 1.5 }))
		settle()
		mu.Lock()
		defer mu.Unlock()
		require.Contains(t, strings.Join(refused, "\n"), "Ketama takes whole numbers only")
		n, _ := whole.View().Node("c")
		require.Equal(t, 1., n.Weight)
	})
}

// A storm of joins is a few changes of the ring.
func TestDebounce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memlock.New()
		r := newProcess(t, b).follow(t, &members.FollowOptions{Debounce: time.Second})
		before := r.View().Version()
		p := newProcess(t, b)
		for i := range 100 {
			p.join(t, fmt.Sprint(i), nil)
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		require.Len(t, r.View().Nodes(), 100)
		require.LessOrEqual(t, r.View().Version()-before, uint64(4))
	})
}

func TestInput(t *testing.T) {
	locks := lock.New(memlock.New(), nil)
	defer locks.Close(context.Background())
	r, err := ring.New(nil, nil)
	require.NoError(t, err)
	ok := ring.Node{ID: "a"}
	for says, call := range map[string]func() error{
		"nil Locker":          func() error { _, err := members.Join(t.Context(), nil, "s", ok, nil); return err },
		"empty name of a set": func() error { _, err := members.Join(t.Context(), locks, "", ok, nil); return err },
		"has no ID":           func() error { _, err := members.Join(t.Context(), locks, "s", ring.Node{}, nil); return err },
		"weight NaN": func() error {
			_, err := members.Join(t.Context(), locks, "s", ring.Node{ID: "a", Weight: math.NaN()}, nil)
			return err
		},
		"is not UTF-8": func() error { _, err := members.Join(t.Context(), locks, "\xff", ok, nil); return err },
		"TTL 1ms: want": func() error {
			_, err := members.Join(t.Context(), locks, "s", ok, &members.Options{TTL: time.Millisecond})
			return err
		},
		"nil Ring":                func() error { return members.Follow(t.Context(), locks, "s", nil, nil) },
		"members: lock: invalid:": func() error { return members.Follow(t.Context(), locks, "", r, nil) },
	} {
		err := call()
		require.ErrorIs(t, err, members.ErrInvalid, says)
		require.ErrorContains(t, err, says)
	}
	big := ring.Node{ID: "a", Meta: map[string]string{"k": strings.Repeat("x", 100_000_000)}}
	_, err = members.Join(t.Context(), locks, "s", big, nil)
	require.ErrorIs(t, err, members.ErrInvalid)
	require.ErrorContains(t, err, "this engine takes at most")

	require.NoError(t, locks.Close(t.Context()))
	_, err = members.Join(t.Context(), locks, "s", ok, nil)
	require.ErrorIs(t, err, lock.ErrClosed)
	require.ErrorIs(t, members.Follow(t.Context(), locks, "s", r, nil), lock.ErrClosed)
}

// When its Locker is closed a member ends: it does not try for ever.
func TestLockerIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memlock.New()
		p := newProcess(t, b)
		a := p.join(t, "a", nil)
		r := newProcess(t, b).follow(t, &members.FollowOptions{Hold: -1})
		require.NoError(t, p.locks.Close(t.Context()))
		settle()
		require.Empty(t, shown(r))
		require.ErrorIs(t, a.Update(t.Context(), func(*ring.Node) {}), lock.ErrClosed)
		require.NoError(t, a.Leave(t.Context()))
	})
}
