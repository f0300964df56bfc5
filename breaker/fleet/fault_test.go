package fleet_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/breaker"
	"github.com/concordkit/concord/breaker/fleet"
	"github.com/concordkit/concord/lock"
)

// brief ends a watch with an error when told.
type brief struct {
	lock.Backend
	cut chan struct{}
}

func (b *brief) Watch(ctx context.Context, dir string, every time.Duration, emit func([]lock.Holder)) error {
	run, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-b.cut:
			cancel()
		case <-run.Done():
		}
	}()
	err := b.Backend.Watch(run, dir, every, emit)
	if ctx.Err() == nil {
		return errDown
	}
	return err
}

// slowOpen takes its time to change the value of "open": nothing fails, no lease expires.
type slowOpen struct{ lock.Backend }

func (b slowOpen) SetValue(ctx context.Context, c lock.Claim) (bool, error) {
	if c.Name == "open" {
		time.Sleep(200 * time.Millisecond)
	}
	return b.Backend.SetValue(ctx, c)
}

// slowFleet makes members whose links are slow.
func slowFleet(t *testing.T, backend lock.Backend, size int) (ns []*node) {
	for i := range size {
		n := newNode(t, backend, fmt.Sprint("n", i))
		n.delay = 30 * time.Millisecond
		ns = append(ns, n.join(fleet.Options{}))
	}
	time.Sleep(time.Second)
	return ns
}

// A probe that its operator takes the breaker from counts as one that failed; it does not keep the others waiting.
func TestOperatorDuringProbe(t *testing.T) {
	for name, act := range map[string]func(*node){
		"ForceOpen, Reset": func(n *node) { n.b.ForceOpen("op"); time.Sleep(time.Second); n.b.Reset("op") },
		"Disable":          func(n *node) { n.b.Disable("op") },
		"Reset":            func(n *node) { n.b.Reset("op") },
		"Trip":             func(n *node) { n.b.Trip("op", time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, backend lock.Backend) {
				ns := newFleet(t, backend, 5, fleet.Options{})
				ns[0].trip()
				ns[1].trip()
				settle()
				time.Sleep(time.Second)
				ns[2].call(nil)
				settle()
				go ns[2].b.Do(t.Context(), func(context.Context) error { time.Sleep(500 * time.Millisecond); return nil })
				time.Sleep(100 * time.Millisecond)
				require.Equal(t, breaker.HalfOpen, ns[2].b.State())
				act(ns[2])
				s := &service{takes: 5 * time.Millisecond}
				for _, n := range []*node{ns[0], ns[1], ns[3], ns[4]} {
					n.traffic(s, 10*time.Millisecond)
				}
				time.Sleep(10 * time.Minute)
				require.Empty(t, open([]*node{ns[0], ns[1], ns[3], ns[4]}), "the service is well")
			})
		})
	}
}

// So does one that counts for nothing, in a process that makes no other call.
func TestIgnoredProbe(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		ns := newFleet(t, backend, 5, fleet.Options{})
		ns[0].trip()
		ns[1].trip()
		settle()
		time.Sleep(time.Second)
		ns[2].call(nil)
		settle()
		ctx, cancel := context.WithCancel(t.Context())
		ns[2].b.Do(ctx, func(context.Context) error { cancel(); return ctx.Err() })
		s := &service{takes: 5 * time.Millisecond}
		for _, n := range []*node{ns[0], ns[1], ns[3], ns[4]} {
			n.traffic(s, 10*time.Millisecond)
		}
		time.Sleep(10 * time.Minute)
		require.Empty(t, open([]*node{ns[0], ns[1], ns[3], ns[4]}), "calls %d, %+v", s.calls.Load(), ns[0].m.Snapshot())
	})
}

// Or one of two that are asked for, where no other call comes.
func TestTwoProbesOneCall(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		var ns []*node
		for i := range 4 {
			n := newNode(t, backend, fmt.Sprint("n", i))
			r := rules()
			r.Probes = 2
			b, err := breaker.New("billing", r)
			require.NoError(t, err)
			n.b = b
			ns = append(ns, n.join(fleet.Options{}))
		}
		ns[0].trip()
		ns[1].trip()
		settle()
		time.Sleep(time.Second)
		ns[2].call(nil)
		settle()
		require.True(t, ns[2].call(nil))
		s := &service{takes: 5 * time.Millisecond}
		for _, n := range []*node{ns[0], ns[1], ns[3]} {
			n.traffic(s, 10*time.Millisecond)
		}
		time.Sleep(10 * time.Minute)
		require.Empty(t, open([]*node{ns[0], ns[1], ns[3]}), "calls %d", s.calls.Load())
	})
}

// A member that has given up since it heard nothing finds the fleet open when it is back, and leaves it so.
func TestBlindOneClosesFleet(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		ns := newFleet(t, backend, 5, fleet.Options{})
		ns[0].trip()
		ns[1].trip()
		settle()
		require.Len(t, open(ns), 5)
		ns[4].down.Store(true)
		s := &service{takes: 5 * time.Millisecond}
		s.failing.Store(true)
		for _, n := range ns[:4] {
			n.traffic(s, 10*time.Millisecond)
		}
		time.Sleep(8 * time.Second) // 1 s, 2 s and 4 s, and the next period
		require.Len(t, open(ns[:4]), 4)
		before := s.calls.Load()
		require.LessOrEqual(t, before, int64(4))
		ns[4].down.Store(false)
		time.Sleep(2500 * time.Millisecond)
		require.EqualValues(t, 1, ns[0].m.Snapshot().Generation, "no probe has succeeded")
		require.LessOrEqual(t, s.calls.Load(), before+1)
	})
}

// The same while nobody has a call to make.
func TestIdleBlinkClosesFleet(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		ns := newFleet(t, backend, 5, fleet.Options{})
		ns[0].trip()
		ns[1].trip()
		settle()
		time.Sleep(time.Minute)
		require.Len(t, open(ns), 5)
		ns[4].down.Store(true)
		time.Sleep(ttl + time.Second)
		ns[4].down.Store(false)
		time.Sleep(5 * time.Second)
		require.Len(t, open(ns[:4]), 4, "nobody has probed")
	})
}

// The same where its watch ended for a moment.
func TestBriefGap(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		ns := newFleet(t, backend, 4, fleet.Options{})
		b := &brief{backend, make(chan struct{})}
		ns = append(ns, newNode(t, b, "brief").join(fleet.Options{}))
		settle()
		ns[0].trip()
		ns[1].trip()
		settle()
		time.Sleep(time.Minute)
		require.Len(t, open(ns), 5)
		b.cut <- struct{}{} // its watch ends, and begins again within 0.1 s
		time.Sleep(3 * time.Second)
		require.Len(t, open(ns[:4]), 4, "nobody has probed")
	})
}

// Whoever has probed keeps the lease until all that may ask for it can see that the period is over.
func TestSecondProbe(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		ns := newFleet(t, slowOpen{backend}, 4, fleet.Options{})
		ns[0].trip()
		ns[1].trip()
		settle()
		opener := ns[0]
		if ns[1].m.Snapshot().By == "n1" {
			opener = ns[1]
		}
		s := &service{takes: 5 * time.Millisecond}
		s.failing.Store(true)
		time.Sleep(time.Second)
		opener.traffic(s, 10*time.Millisecond) // so it is the one that probes
		time.Sleep(20 * time.Millisecond)
		for _, n := range ns {
			n.traffic(s, 10*time.Millisecond)
		}
		time.Sleep(500 * time.Millisecond)
		require.EqualValues(t, 1, s.calls.Load(), "one probe in a period")
	})
}

// A fleet without calls stays open for longer than a breaker holds by itself, and still has one probe.
func TestIdleForADay(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		ns := newFleet(t, backend, 3, fleet.Options{})
		ns[0].trip()
		ns[1].trip()
		settle()
		time.Sleep(25 * time.Hour)
		s := &service{takes: 5 * time.Millisecond}
		s.failing.Store(true)
		for _, n := range ns {
			go n.b.Do(t.Context(), s.serve)
		}
		time.Sleep(900 * time.Millisecond)
		require.LessOrEqual(t, s.calls.Load(), int64(1), "one probe in a period")
	})
}

func TestIdleForADayWell(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		ns := newFleet(t, backend, 3, fleet.Options{})
		ns[0].trip()
		ns[1].trip()
		settle()
		time.Sleep(25 * time.Hour)
		s := &service{takes: 5 * time.Millisecond}
		for _, n := range ns {
			n.traffic(s, 10*time.Millisecond)
		}
		time.Sleep(time.Minute)
		require.Empty(t, open(ns))
		require.False(t, ns[0].m.Snapshot().Open, "all breakers are closed, the fleet says open: %+v", ns[0].m.Snapshot())
	})
}

// A tool that joins, gives an order and leaves is heard also by those whose watches are slow.
func TestToolRestores(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		ns := slowFleet(t, backend, 4)
		require.NoError(t, ns[0].m.Trip(t.Context(), "deploy", time.Hour))
		time.Sleep(time.Second)
		require.Len(t, open(ns), 4)
		tool := newNode(t, backend, "tool").join(fleet.Options{})
		require.NoError(t, tool.m.Restore(t.Context()))
		require.NoError(t, tool.m.Leave(t.Context()))
		time.Sleep(10 * time.Second)
		require.Empty(t, open(ns), "Restore has said nil: open for %v more", ns[0].m.Snapshot().OpenFor)
	})
}

func TestToolTrips(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		ns := slowFleet(t, backend, 4)
		tool := newNode(t, backend, "tool").join(fleet.Options{})
		require.NoError(t, tool.m.Trip(t.Context(), "deploy", time.Hour))
		require.NoError(t, tool.m.Leave(t.Context()))
		time.Sleep(10 * time.Second)
		require.Len(t, open(ns), 4, "Trip has said nil")
	})
}

// An order that was given up opens the fleet for a moment at most, whenever it is given up.
func TestTripThatFails(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		ns := newFleet(t, backend, 4, fleet.Options{})
		slow := newNode(t, backend, "slow")
		slow.delay = 20 * time.Millisecond
		slow.join(fleet.Options{})
		settle()
		for ms := range 70 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(ms)*time.Millisecond)
			err := slow.m.Trip(ctx, "deploy", time.Hour)
			cancel()
			if err != nil {
				time.Sleep(5 * time.Second)
				require.Empty(t, open(ns), "%d ms: Trip has said %v; it is open for %v", ms, err, ns[0].m.Snapshot().OpenFor)
			} else {
				require.NoError(t, slow.m.Restore(t.Context()))
				time.Sleep(2 * time.Second)
			}
		}
	})
}

// A process that has crashed and is back is no quorum.
func TestRestartVotesTwice(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		ns := newFleet(t, backend, 5, fleet.Options{})
		bad := newNode(t, backend, "bad").join(fleet.Options{})
		bad.trip()
		settle()
		require.Empty(t, open(ns))
		bad.crash()
		again := newNode(t, backend, "bad").join(fleet.Options{})
		again.trip()
		settle()
		require.Empty(t, open(ns), "one bad process has taken all along")
	})
}

// Only members that have a call to make now ask to probe, whatever they have refused before.
func TestStaleRefusals(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		ns := newFleet(t, backend, 40, fleet.Options{})
		ns[0].trip()
		ns[1].trip()
		settle()
		for _, n := range ns {
			n.call(nil)
		}
		time.Sleep(900 * time.Millisecond)
		s := &service{takes: 5 * time.Millisecond}
		ns[0].traffic(s, 10*time.Millisecond)
		begin := time.Now()
		for s.calls.Load() == 0 && time.Since(begin) < 5*time.Minute {
			time.Sleep(100 * time.Millisecond)
		}
		require.Less(t, time.Since(begin), 5*time.Second)
	})
}

// A member that joins while another leaves is told what is left, too.
func TestOneForOne(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		opener := newNode(t, backend, "opener")
		opener.delay = 30 * time.Millisecond
		opener.join(fleet.Options{})
		x := newNode(t, backend, "x").join(fleet.Options{})
		other := newNode(t, backend, "other").join(fleet.Options{})
		time.Sleep(time.Second)
		require.NoError(t, opener.m.Trip(t.Context(), "deploy", time.Minute))
		time.Sleep(50 * time.Second)
		require.NoError(t, x.m.Leave(t.Context())) // the opener's watch is busy with that
		require.NoError(t, other.m.Leave(t.Context()))
		late := newNode(t, backend, "late").join(fleet.Options{})
		time.Sleep(time.Second)
		require.Less(t, late.m.Snapshot().OpenFor, 10*time.Second)
	})
}

func TestNoContext(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		n := newFleet(t, backend, 1, fleet.Options{})[0]
		var none context.Context
		require.ErrorIs(t, n.m.Trip(none, "x", time.Second), fleet.ErrInvalid)
		require.ErrorIs(t, n.m.Restore(none), fleet.ErrInvalid)
		require.ErrorIs(t, n.m.Leave(none), fleet.ErrInvalid)
		_, err := fleet.Join(none, n.locks, n.b, nil)
		require.ErrorIs(t, err, fleet.ErrInvalid)
		require.NoError(t, n.m.Trip(t.Context(), "it goes on", time.Second))
	})
}

// A breaker that is open by its own rules when it joins has a vote.
func TestOpenAtJoin(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		ns := newFleet(t, backend, 3, fleet.Options{})
		n := newNode(t, backend, "n")
		n.trip()
		n.join(fleet.Options{})
		ns[0].trip()
		settle()
		require.Len(t, open(ns), 3, "two have opened by their own rules: %+v", ns[1].m.Snapshot())
	})
}

// A reason that no engine would take is refused at once, and the next order goes through.
func TestLongReason(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		n := newFleet(t, backend, 1, fleet.Options{})[0]
		for _, reason := range []string{string(make([]byte, 1025)), "\xff"} {
			require.ErrorIs(t, n.m.Trip(t.Context(), reason, time.Hour), fleet.ErrInvalid)
		}
		require.NoError(t, n.m.Trip(t.Context(), string(make([]byte, 1024)), time.Hour))
		require.NoError(t, n.m.Restore(t.Context()))
	})
}

// A Locker that will never work is an error of Join.
func TestJoinInVain(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		b, err := breaker.New("billing", nil)
		require.NoError(t, err)
		closed := lock.New(backend, nil)
		closed.Close(t.Context())
		m, err := fleet.Join(t.Context(), closed, b, nil)
		require.ErrorIs(t, err, lock.ErrClosed)
		require.Nil(t, m)
		m, err = fleet.Join(t.Context(), lock.New(backend, &lock.Options{TTL: time.Nanosecond}), b, nil)
		require.ErrorIs(t, err, lock.ErrInvalid)
		require.Nil(t, m)
	})
}
