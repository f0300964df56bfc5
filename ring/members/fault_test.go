package members_test

import (
	"context"
	"fmt"
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

// least follows how few nodes a ring has had.
func least(t *testing.T, r *ring.Ring) *atomic.Int64 {
	t.Helper()
	n := new(atomic.Int64)
	n.Store(int64(len(r.View().Nodes())))
	go func() {
		for c, err := range r.Watch(t.Context()).All(t.Context()) {
			if err == nil {
				n.Store(min(n.Load(), int64(len(c.New.Nodes()))))
			}
		}
	}()
	return n
}

// A second loss late in a hold has its own time to pass.
func TestHoldTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &swap{Backend: memlock.New()}
		var dead *process
		for i := range 5 {
			dead = newProcess(t, s)
			dead.join(t, fmt.Sprint(i), nil)
		}
		r := newProcess(t, s).follow(t, nil)
		fewest := least(t, r)
		dead.down.Store(true) // one dies, and the server restarts without its data
		s.to(memlock.New())
		time.Sleep(29_900 * time.Millisecond)
		s.to(memlock.New()) // and again
		time.Sleep(time.Minute)
		require.Equal(t, "0 1 2 3", shown(r))
		require.EqualValues(t, 4, fewest.Load())
	})
}

// Time in which the follower sees nothing is no time for members to come back in.
func TestHoldWhileBlind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &swap{Backend: memlock.New()}
		var ps []*process
		for i := range 5 {
			p := newProcess(t, s)
			p.join(t, fmt.Sprint(i), nil)
			ps = append(ps, p)
		}
		f := newProcess(t, s)
		r := f.follow(t, nil)
		fewest := least(t, r)
		for _, p := range ps {
			p.down.Store(true) // nobody can write: leases run out, and the follower sees that
		}
		time.Sleep(ttl + 100*time.Millisecond)
		f.down.Store(true) // and nobody can read
		time.Sleep(40 * time.Second)
		s.to(memlock.New()) // it comes back, empty
		for _, p := range append(ps, f) {
			p.down.Store(false)
		}
		time.Sleep(2 * time.Minute)
		require.Equal(t, "0 1 2 3 4", shown(r))
		require.GreaterOrEqual(t, fewest.Load(), int64(3), "at most two vanish before the hold begins, the others stay")
	})
}

// A value that the engine refuses leaves the member as it was, also for its next lease.
func TestUpdateThatIsTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memlock.New()
		p := newProcess(t, b)
		a := p.join(t, "a", nil)
		newProcess(t, b).join(t, "b", nil)
		r := newProcess(t, b).follow(t, nil)
		err := a.Update(t.Context(), func(n *ring.Node) { n.Meta = map[string]string{"k": strings.Repeat("x", 100_000_000)} })
		require.ErrorIs(t, err, members.ErrInvalid)
		require.Nil(t, a.Node().Meta)
		require.NoError(t, a.Update(t.Context(), func(n *ring.Node) { n.Weight = 2 }))
		p.down.Store(true)
		time.Sleep(2 * ttl)
		p.down.Store(false)
		time.Sleep(2 * ttl)
		require.Equal(t, "a b", shown(r))
	})
}

// overtaken delays the first value on its way, whatever becomes of its caller.
type overtaken struct {
	lock.Backend
	calls atomic.Int64
	fails atomic.Int64 // how many values to refuse first
}

func (o *overtaken) SetValue(ctx context.Context, c lock.Claim) (bool, error) {
	if o.fails.Add(-1) >= 0 {
		return false, errDown
	}
	if o.calls.Add(1) > 1 {
		return o.Backend.SetValue(ctx, c)
	}
	go func() {
		time.Sleep(2 * time.Second)
		o.Backend.SetValue(context.Background(), c)
	}()
	<-ctx.Done()
	return false, lock.ErrUnknownOutcome
}

// A write that comes late does not stay: what was given last is shown again.
func TestLateValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &overtaken{Backend: memlock.New()}
		a := newProcess(t, b).join(t, "a", nil)
		r := newProcess(t, b).follow(t, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		require.Error(t, a.Update(ctx, func(n *ring.Node) { n.Weight = 5 }))
		require.NoError(t, a.Update(t.Context(), func(n *ring.Node) { n.Weight = 7 }))
		time.Sleep(2*time.Second + 50*time.Millisecond)
		time.Sleep(2 * ttl)
		n, _ := r.View().Node("a")
		require.Equal(t, 7., n.Weight)
	})
}

// A value that could not be shown is shown later.
func TestFailedUpdateIsShownLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &overtaken{Backend: memlock.New()}
		b.calls.Store(1)
		a := newProcess(t, b).join(t, "a", nil)
		r := newProcess(t, b).follow(t, nil)
		b.fails.Store(3)
		require.ErrorIs(t, a.Update(t.Context(), func(n *ring.Node) { n.Weight = 5 }), errDown)
		time.Sleep(ttl)
		n, _ := r.View().Node("a")
		require.Equal(t, 5., n.Weight)
		require.Equal(t, a.Node(), n)
	})
}

// Leaving survives a failure, and stays for the drain time all the same.
func TestLeaveAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &overtaken{Backend: memlock.New()}
		b.calls.Store(1)
		a := newProcess(t, b).join(t, "a", nil)
		r := newProcess(t, b).follow(t, nil)
		b.fails.Store(1)
		start := time.Now()
		require.NoError(t, a.Leave(t.Context()))
		require.Equal(t, 5*time.Second, time.Since(start))
		settle()
		require.Empty(t, shown(r))
	})
}

// However short its drain is meant to be, who leaves in order is not taken for one that vanished.
func TestShortDrain(t *testing.T) {
	for _, drain := range []time.Duration{-1, 1, 10 * time.Millisecond, 30 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			b := memlock.New()
			var all []*members.Member
			for i := range 5 {
				all = append(all, newProcess(t, b).join(t, fmt.Sprint(i), &members.Options{Drain: drain}))
			}
			r := newProcess(t, b).follow(t, nil)
			var leaving sync.WaitGroup
			for _, m := range all[1:] {
				leaving.Go(func() {
					if err := m.Leave(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			leaving.Wait()
			settle()
			require.Equal(t, "0", shown(r), "drain %v", drain)
		})
	}
}

// A call of Leave that is in a hurry cuts the drain short for all, and a membership that is over is not waited for.
func TestLeaveInAHurry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memlock.New()
		a := newProcess(t, b).join(t, "a", &members.Options{Drain: time.Hour})
		start := time.Now()
		var first sync.WaitGroup
		first.Go(func() {
			if err := a.Leave(t.Context()); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.NoError(t, a.Leave(ctx))
		first.Wait()
		require.Equal(t, time.Second, time.Since(start))

		p := newProcess(t, b)
		c := p.join(t, "c", &members.Options{Drain: time.Hour})
		go func() {
			time.Sleep(time.Second)
			p.locks.Close(context.Background())
		}()
		start = time.Now()
		c.Leave(t.Context())
		require.Less(t, time.Since(start), ttl)
	})
}

// Several holders of one name, and values that only look like a node's, stop nobody.
func TestOddHolders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memlock.New()
		p := newProcess(t, b)
		p.join(t, "a", nil)
		for _, v := range []string{`{"state":"active","addr":"first"}`, `{"state":"active","addr":"second"}`} {
			_, err := p.locks.Claim(t.Context(), lock.Claim{Dir: "cache", Name: "twin", Value: []byte(v)}.Shared())
			require.NoError(t, err)
		}
		for i, v := range []string{"null", "{}", `{"addr":"x"}`} {
			_, err := p.locks.Claim(t.Context(), lock.Claim{Dir: "cache", Name: fmt.Sprint("odd", i), Value: []byte(v)})
			require.NoError(t, err)
		}
		r := newProcess(t, b).follow(t, nil)
		require.Equal(t, "a twin", shown(r))
		n, _ := r.View().Node("twin")
		require.Equal(t, "second", n.Addr)
	})
}

// counting counts the watches that run.
type counting struct {
	lock.Backend
	watches atomic.Int64
}

func (c *counting) Watch(ctx context.Context, dir string, every time.Duration, emit func([]lock.Holder)) error {
	c.watches.Add(1)
	defer c.watches.Add(-1)
	return c.Backend.Watch(ctx, dir, every, emit)
}

func TestFollowThatFailsLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &counting{Backend: memlock.New()}
		p := newProcess(t, b)
		a := p.join(t, "a", nil)
		require.NoError(t, a.Update(t.Context(), func(n *ring.Node) { n.Weight = 1.5 }))
		r, err := ring.New(nil, &ring.Options{Placement: ring.Ketama()})
		require.NoError(t, err)
		require.ErrorContains(t, members.Follow(t.Context(), p.locks, "cache", r, nil), "Ketama takes whole numbers only")
		settle()
		require.Zero(t, b.watches.Load())
	})
}

func TestInvalidText(t *testing.T) {
	locks := lock.New(memlock.New(), nil)
	defer locks.Close(context.Background())
	for _, n := range []ring.Node{{ID: "a", Addr: "\xff"}, {ID: "a", Meta: map[string]string{"\xff": ""}}, {ID: "a", Meta: map[string]string{"k": "\xff"}}} {
		_, err := members.Join(t.Context(), locks, "s", n, nil)
		require.ErrorIs(t, err, members.ErrInvalid)
		require.ErrorContains(t, err, "is not UTF-8")
	}
}

// Members of a set that the ring refuses have not vanished from it, and count once when a later set is taken.
func TestRefusedSetCountsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memlock.New()
		var ps []*process
		for i := range 10 {
			p := newProcess(t, b)
			p.join(t, fmt.Sprint(i), nil)
			ps = append(ps, p)
		}
		r, err := ring.New(nil, &ring.Options{Placement: ring.Ketama()})
		require.NoError(t, err)
		f := newProcess(t, b)
		var held atomic.Int64
		require.NoError(t, members.Follow(t.Context(), f.locks, "cache", r, &members.FollowOptions{Trace: &members.Trace{
			Held: func(string, int, int, time.Duration) { held.Add(1) },
		}}))
		odd := newProcess(t, b).join(t, "odd", nil)
		settle()
		require.NoError(t, odd.Update(t.Context(), func(n *ring.Node) { n.Weight = 1.5 }))
		for _, p := range ps[:4] { // while each set is refused
			p.down.Store(true)
		}
		time.Sleep(2 * ttl)
		require.Len(t, r.View().Nodes(), 11)
		require.NoError(t, odd.Update(t.Context(), func(n *ring.Node) { n.Weight = 1 }))
		settle()
		require.Len(t, r.View().Nodes(), 7, "four of eleven are fewer than half")
		require.Zero(t, held.Load())
	})
}
