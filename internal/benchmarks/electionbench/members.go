package electionbench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/ring"
	"github.com/concordkit/concord/ring/members"
)

const (
	// processes are members that stay, each on a client of its own that several followers share.
	processes = 10
	followers = 100
	set       = "fleet"

	leaves = 11
	drain  = 100 * time.Millisecond
	// quiet is how long nothing changes before a member leaves: after a change a follower waits 20 ms with the next one.
	quiet = 50 * time.Millisecond
	// lost members are fewer than half of those there are, which would be held back.
	lost = 5
	// slack is what may come on top of the TTL: etcd looks for dead leases every 500 ms.
	slack = time.Second
)

// fleets measures how soon all followers know of a member that leaves, and of one that crashes.
func fleets(ctx context.Context, s *servers) ([]ratio.Row, error) {
	var rows []ratio.Row
	for _, e := range []engine{s.onRedis(), s.onEtcd(), s.onNATS()} {
		more, err := fleetOn(ctx, e)
		if err != nil {
			return nil, fmt.Errorf("members on %s: %w", e.name, err)
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

func fleetOn(ctx context.Context, e engine) ([]ratio.Row, error) {
	f, err := openFleet(ctx, e)
	if err != nil {
		return nil, err
	}
	defer f.close()
	leaving, gone, err := f.leaves(ctx)
	if err != nil {
		return nil, err
	}
	crashed, err := f.crashes(ctx, e)
	if err != nil {
		return nil, err
	}
	worst := time.Duration(ratio.Median(crashed))
	return []ratio.Row{
		{
			Goal: fmt.Sprintf("%s: Leave to the last of %d followers", e.name, followers),
			Ours: millis(ratio.Median(leaving)),
			Note: fmt.Sprintf("the member is out of the ring %s after its drain time of %v", millis(ratio.Median(gone)), drain),
		},
		{
			Goal:   fmt.Sprintf("%s: crash of a member to the last of %d followers", e.name, followers),
			Ours:   fmt.Sprintf("%.2f s", worst.Seconds()),
			Value:  worst.Seconds(),
			Target: ratio.AtMost((crashTTL + slack).Seconds(), "s"),
			Note:   fmt.Sprintf("median of %d, TTL %v; less what was left of the lease %s", lost, crashTTL, millis(float64(worst-crashTTL))),
		},
	}, nil
}

// fleet is a set of members and those who follow it.
type fleet struct {
	lockers []*lock.Locker
	rings   []*ring.Ring
	close   func()
}

func openFleet(ctx context.Context, e engine) (f *fleet, err error) {
	following, stop := context.WithCancel(ctx)
	closers := []func(){stop}
	f = &fleet{close: func() {
		for _, c := range closers {
			c()
		}
	}}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	for i := range processes {
		locks, closed, err := e.openLocker(ctx, ttl)
		if err != nil {
			return nil, err
		}
		closers = append(closers, closed)
		f.lockers = append(f.lockers, locks)
		if _, err := members.Join(ctx, locks, set, ring.Node{ID: fmt.Sprint("stays", i)}, nil); err != nil {
			return nil, err
		}
	}
	for i := range followers {
		r, err := ring.New(nil, &ring.Options{Placement: ring.Slots(10)})
		if err != nil {
			return nil, err
		}
		if err := members.Follow(following, f.lockers[i%processes], set, r, nil); err != nil {
			return nil, err
		}
		f.rings = append(f.rings, r)
	}
	return f, nil
}

// until returns when the last follower sees what holds of node id, which is nil where it is not in the ring.
func (f *fleet) until(ctx context.Context, id string, holds func(*ring.Node) bool) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var g errgroup.Group
	for _, r := range f.rings {
		g.Go(func() error {
			for _, err := range r.Watch(ctx).All(ctx) {
				if err != nil {
					return fmt.Errorf("a follower of %s: %w", id, err)
				}
				var node *ring.Node
				if n, ok := r.View().Node(id); ok {
					node = &n
				}
				if holds(node) {
					return nil
				}
			}
			return errors.New("no change to wait for")
		})
	}
	err := g.Wait()
	return time.Now(), err
}

func active(n *ring.Node) bool   { return n != nil && n.State == ring.Active }
func inactive(n *ring.Node) bool { return !active(n) }
func absent(n *ring.Node) bool   { return n == nil }

// leaves returns the times from a call of Leave until nobody sends the member anything new, and from the end of its drain
// time until nobody has it in the ring.
func (f *fleet) leaves(ctx context.Context) (leaving, gone []float64, err error) {
	for i := range leaves {
		id := fmt.Sprint("leaves", i)
		m, err := members.Join(ctx, f.lockers[i%processes], set, ring.Node{ID: id}, &members.Options{Drain: drain})
		if err != nil {
			return nil, nil, err
		}
		_, err = f.until(ctx, id, active)
		if err := errors.Join(err, sleep(ctx, quiet)); err != nil {
			return nil, nil, err
		}
		var g errgroup.Group
		start := time.Now()
		g.Go(func() error { return m.Leave(ctx) })
		told, err := f.until(ctx, id, inactive)
		if err != nil {
			return nil, nil, err
		}
		out, err := f.until(ctx, id, absent)
		if err := errors.Join(err, g.Wait()); err != nil {
			return nil, nil, err
		}
		leaving, gone = append(leaving, float64(told.Sub(start))), append(gone, float64(out.Sub(start)-drain))
	}
	return leaving, gone, nil
}

// crashes returns the times from just before a member that is heard of no more was heard of last, until nobody has it in the
// ring.
func (f *fleet) crashes(ctx context.Context, e engine) ([]float64, error) {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	w, err := f.lockers[0].Watch(watching, set)
	if err != nil {
		return nil, err
	}
	node := w.Holders()[0].Value // all are alike but for their IDs, which are no part of it
	times := make([]float64, lost)
	var g errgroup.Group
	for i := range times {
		b, closed, err := e.open(ctx)
		if err != nil {
			return nil, errors.Join(err, g.Wait())
		}
		defer closed()
		at := time.Now()
		g.Go(func() (err error) {
			times[i], err = f.crash(ctx, b, lock.Claim{Dir: set, Name: fmt.Sprint("crashes", i), TTL: crashTTL, Value: node})
			return err
		})
		if err := sleep(ctx, time.Until(at.Add(apart))); err != nil {
			break
		}
	}
	return times, errors.Join(g.Wait(), ctx.Err())
}

func (f *fleet) crash(ctx context.Context, dying lock.Backend, c lock.Claim) (float64, error) {
	if _, err := dying.Info(ctx); err != nil { // connects
		return 0, err
	}
	start := time.Now()
	if err := hold(ctx, dying, c); err != nil {
		return 0, err
	}
	if _, err := f.until(ctx, c.Name, active); err != nil {
		return 0, err
	}
	end, err := f.until(ctx, c.Name, absent)
	return float64(end.Sub(start)), err
}
