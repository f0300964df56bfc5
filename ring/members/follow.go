package members

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/ring"
)

const (
	defaultHold     = 30 * time.Second
	defaultDebounce = 20 * time.Millisecond
)

// FollowOptions configure [Follow]. A nil *FollowOptions means the defaults.
type FollowOptions struct {
	// Hold is within which time the ring loses at most half of its active members by their vanishing; the others stay in it
	// for so long. It should be more than the TTL of the members, so that they can join again after a server has lost its
	// data. It defaults to 30 s; a negative one holds nothing back.
	Hold time.Duration
	// Debounce is the least time between two changes of the ring, so that a storm of joins is a few changes. It defaults to
	// 20 ms; a negative one is none.
	Debounce time.Duration
	// Trace observes the follower. Nil observes nothing.
	Trace *Trace
}

// Follow makes r equal to the members of the set of that name: it returns when r is, and keeps it so until ctx ends.
//
// If the members cannot be learnt, or r refuses them, it fails; later it leaves r as it is and tries again. What holds
// members back the package comment says. What r refuses are weights that its placement does not take. [FollowOptions].Trace
// hears of all that. Nobody else should change r.
func Follow(ctx context.Context, locks *lock.Locker, set string, r *ring.Ring, o *FollowOptions) error {
	if o == nil {
		o = new(FollowOptions)
	}
	if err := checkSet(locks, set); err != nil {
		return err
	}
	if r == nil {
		return fmt.Errorf("members: %w: nil Ring", ErrInvalid)
	}
	f := &follower{
		locks: locks, set: set, ring: r, hold: o.Hold, debounce: o.Debounce, trace: o.Trace, lost: map[string]time.Time{}, held: map[string]time.Time{},
	}
	if f.hold == 0 {
		f.hold = defaultHold
	}
	if f.debounce == 0 {
		f.debounce = defaultDebounce
	}
	ctx, cancel := context.WithCancel(ctx)
	w, err := locks.Watch(ctx, set)
	if err != nil {
		cancel()
		return fmt.Errorf("members: follow %q: %w", set, err)
	}
	if err := f.apply(w.Holders()); err != nil {
		cancel()
		return err
	}
	go func() {
		defer cancel()
		f.follow(ctx, w)
	}()
	return nil
}

type follower struct {
	locks    *lock.Locker
	set      string
	ring     *ring.Ring
	hold     time.Duration
	debounce time.Duration
	trace    *Trace
	strange  map[string]string    // what is wrong with members that are no nodes
	lost     map[string]time.Time // members that have vanished from the ring within hold, and when
	held     map[string]time.Time // members that are held back, and since when
	until    time.Time            // when the first of them is let go; zero while none are held back
}

// follow goes on with another watch whenever one has ended.
func (f *follower) follow(ctx context.Context, w *lock.Watch) {
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		if w != nil {
			err := f.see(ctx, w)
			if ctx.Err() != nil {
				return
			}
			f.trace.blind(f.set, err)
			pause = minPause
		}
		if !sleep(ctx, jitter(pause)) {
			return
		}
		var err error
		if w, err = f.locks.Watch(ctx, f.set); err != nil {
			if ctx.Err() != nil || errors.Is(err, lock.ErrClosed) {
				return
			}
			f.trace.blind(f.set, err)
			continue
		}
		for id := range f.held { // time that nobody saw is no time to come back in
			f.held[id] = time.Now()
		}
		f.until = time.Time{}
	}
}

// see applies what w shows, until w ends.
func (f *follower) see(ctx context.Context, w *lock.Watch) error {
	for {
		err := f.loop(ctx, w)
		if ctx.Err() != nil || !errors.Is(err, errHeld) {
			return err
		}
	}
}

// errHeld ends a loop over a watch when members that were held back are due.
var errHeld = errors.New("members: hold is over")

// loop applies each set of w, the present one first. It ends when w does, or with errHeld.
func (f *follower) loop(ctx context.Context, w *lock.Watch) error {
	// What is due may change with each set, and only a new loop has a new end.
	until := f.until
	if !until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, until, errHeld)
		defer cancel()
	}
	for holders, err := range w.All(ctx) {
		if err != nil {
			return err
		}
		if err := f.apply(holders); err != nil {
			f.trace.refused(f.set, err)
		}
		if !sleep(ctx, f.debounce) || f.until != until {
			return errHeld
		}
	}
	return nil
}

// apply sets the ring to the members that holders show, and those that are held back.
func (f *follower) apply(holders []lock.Holder) error {
	nodes := f.decode(holders)
	lost, held := maps.Clone(f.lost), maps.Clone(f.held)
	nodes = append(nodes, f.holdBack(nodes)...)
	if _, err := f.ring.Set(nodes); err != nil {
		f.lost, f.held = lost, held // nobody has vanished from the ring
		return fmt.Errorf("members: follow %q: %w", f.set, err)
	}
	return nil
}

// holdBack returns the active members that are not among nodes but stay in the ring. Leases that run out together do so one
// after the other, so what counts is how many have vanished within the hold time, not with the last set; and each of them
// has that time to come back, however late in a hold it vanishes.
func (f *follower) holdBack(nodes []ring.Node) (kept []ring.Node) {
	now := time.Now()
	for _, n := range nodes {
		delete(f.lost, n.ID)
		delete(f.held, n.ID)
	}
	maps.DeleteFunc(f.lost, func(_ string, at time.Time) bool { return now.Sub(at) >= f.hold })
	gone, active := missing(f.ring.View(), nodes)
	hold := len(f.held) > 0
	if had := active + len(f.lost); !hold && f.hold > 0 && 2*(len(gone)+len(f.lost)) > had {
		hold = true
		f.trace.held(f.set, len(gone), had, f.hold)
	}
	f.until = time.Time{}
	for _, n := range gone {
		at, known := f.held[n.ID]
		if !known {
			at = now
		}
		due := at.Add(f.hold)
		switch {
		case hold && now.Before(due):
			f.held[n.ID] = at
			kept = append(kept, n)
			if f.until.IsZero() || due.Before(f.until) {
				f.until = due
			}
		case known:
			delete(f.held, n.ID)
		default:
			f.lost[n.ID] = now
		}
	}
	return kept
}

// decode leaves out what is no node, and reports each such member once. Of several holders of one name, which Join does not
// make, the newest counts.
func (f *follower) decode(holders []lock.Holder) []ring.Node {
	nodes := make([]ring.Node, 0, len(holders))
	strange := map[string]string{}
	for i, h := range holders { // by name and token
		if i+1 < len(holders) && holders[i+1].Name == h.Name {
			continue
		}
		n, err := decode(h)
		if err == nil {
			nodes = append(nodes, n)
			continue
		}
		if strange[h.Name] = err.Error(); f.strange[h.Name] != err.Error() {
			f.trace.refused(f.set, err)
		}
	}
	f.strange = strange
	return nodes
}

// missing returns the active nodes of v that are not in nodes, and how many there are in all.
func missing(v *ring.View, nodes []ring.Node) (gone []ring.Node, active int) {
	ids := make([]string, len(nodes))
	for i, n := range nodes {
		ids[i] = n.ID
	}
	slices.Sort(ids)
	for _, n := range v.Nodes() {
		if n.State != ring.Active {
			continue
		}
		active++
		if _, ok := slices.BinarySearch(ids, n.ID); !ok {
			gone = append(gone, n)
		}
	}
	return gone, active
}

// sleep reports whether ctx was still alive after d.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
