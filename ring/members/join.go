package members

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/ring"
)

const (
	defaultDrain = 5 * time.Second
	minDrain     = 100 * time.Millisecond
	// A member that was lost tries again after a pause that doubles from minPause to maxPause.
	minPause = 100 * time.Millisecond
	maxPause = 2 * time.Second
)

// Options configure [Join]. A nil *Options means the defaults.
type Options struct {
	// TTL is how long the member outlives a crash, as in lock.Claim. It defaults to that of the Locker.
	TTL time.Duration
	// Drain is how long [Member.Leave] stays after it has said so, for requests that are on their way. It defaults to 5 s,
	// and is 100 ms at least, in which followers hear of it; negative means that.
	Drain time.Duration
	// Trace observes the member. Nil observes nothing.
	Trace *Trace
}

// Member is a process's membership of a set. Its methods may be called concurrently.
type Member struct {
	locks *lock.Locker
	set   string
	ttl   time.Duration
	drain time.Duration
	trace *Trace

	run    context.Context // ends the keeping of the lease
	cancel context.CancelCauseFunc
	kept   chan struct{} // closed when nothing is kept any more
	writes chan struct{} // taken while a value is written: SetValue keeps no order
	unsure chan struct{} // that followers see the node as it is
	leave  sync.Once     // starts the end
	hurry  context.Context
	hasten context.CancelFunc // cuts the drain short
	gone   chan struct{}      // closed when the end has come
	left   error              // what Leave returns

	mu     sync.Mutex
	node   ring.Node
	lease  *lock.Lease
	joined chan struct{} // closed and replaced when there is another lease
	lost   error         // why there will be no other one
}

// errLeft is the cause of the end of a member that has left.
var errLeft = errors.New("members: left")

// Join makes node a member of the set of that name, and keeps it one until [Member.Leave]. It waits while another process
// holds the node's ID, since that may be the one that crashed here before, for as long as its TTL; give ctx a deadline to find
// out that it lives. ctx ends the joining only.
//
// The errors are those of [lock.Locker.Claim], and [ErrInvalid] for a set or a node that is none.
func Join(ctx context.Context, locks *lock.Locker, set string, node ring.Node, o *Options) (*Member, error) {
	if o == nil {
		o = new(Options)
	}
	if err := checkSet(locks, set); err != nil {
		return nil, err
	}
	m := &Member{
		locks: locks, set: set, ttl: o.TTL, drain: o.Drain, trace: o.Trace,
		kept: make(chan struct{}), gone: make(chan struct{}), joined: make(chan struct{}), node: node,
		writes: make(chan struct{}, 1), unsure: make(chan struct{}, 1),
	}
	if m.drain == 0 {
		m.drain = defaultDrain
	}
	m.drain = max(m.drain, minDrain)
	m.node.Meta = maps.Clone(node.Meta)
	lease, err := m.claim(ctx)
	if err != nil {
		return nil, err
	}
	m.lease = lease
	m.run, m.cancel = context.WithCancelCause(context.Background())
	m.hurry, m.hasten = context.WithCancel(context.Background())
	go m.keep(lease)
	return m, nil
}

func checkSet(locks *lock.Locker, set string) error {
	if locks == nil {
		return fmt.Errorf("members: %w: nil Locker", ErrInvalid)
	}
	if set == "" {
		return fmt.Errorf("members: %w: empty name of a set", ErrInvalid)
	}
	return nil
}

// claim takes the lease with the node as it is now.
func (m *Member) claim(ctx context.Context) (*lock.Lease, error) {
	node := m.Node()
	v, err := encode(node)
	if err != nil {
		return nil, err
	}
	lease, err := m.locks.Claim(ctx, lock.Claim{Dir: m.set, Name: node.ID, TTL: m.ttl, Value: v})
	if err != nil {
		return nil, fmt.Errorf("members: join %q as %q: %w", m.set, node.ID, err)
	}
	return lease, nil
}

// keep takes another lease whenever one is lost, and shows the node again when others may not see it as it is.
func (m *Member) keep(lease *lock.Lease) {
	defer close(m.kept)
	var again repeat
	for {
		select {
		case <-m.unsure:
			again.begin()
		case <-again.due:
			again.done(m.show(lease), lease.Claim().TTL)
		case <-m.run.Done():
			return
		case <-lease.Context().Done():
			m.trace.lost(m.set, m.Node(), context.Cause(lease.Context()))
			var err error
			if lease, err = m.rejoin(); err != nil {
				m.mu.Lock()
				m.lost = err
				close(m.joined)
				m.mu.Unlock()
				return
			}
			m.mu.Lock()
			m.lease = lease
			close(m.joined)
			m.joined = make(chan struct{})
			m.mu.Unlock()
			again.begin() // what was changed meanwhile
			m.trace.rejoined(m.set, m.Node())
		}
	}
}

// repeat shows a node until that has worked, and once more when no write that was on its way can come any more.
type repeat struct {
	due   <-chan time.Time
	pause time.Duration
	shown bool
}

func (r *repeat) begin() {
	*r = repeat{pause: minPause}
	r.due = time.After(jitter(r.pause))
}

func (r *repeat) done(err error, ttl time.Duration) {
	switch {
	case err != nil:
		r.pause = min(2*r.pause, maxPause)
		r.due = time.After(jitter(r.pause))
	case r.shown:
		r.due = nil
	default:
		r.shown = true
		r.due = time.After(ttl)
	}
}

// show writes the node as it is to a lease.
func (m *Member) show(lease *lock.Lease) error {
	select {
	case m.writes <- struct{}{}:
	case <-m.run.Done():
		return context.Cause(m.run)
	}
	defer func() { <-m.writes }()
	v, err := encode(m.Node())
	if err != nil {
		return err
	}
	return lease.SetValue(m.run, v)
}

// rejoin tries until there is a lease or no sense in trying.
func (m *Member) rejoin() (*lock.Lease, error) {
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		lease, err := m.claim(m.run)
		if err == nil {
			return lease, nil
		}
		if m.run.Err() != nil {
			return nil, context.Cause(m.run)
		}
		m.trace.lost(m.set, m.Node(), err)
		if errors.Is(err, lock.ErrInvalid) || errors.Is(err, lock.ErrClosed) {
			return nil, err
		}
		if !sleep(m.run, jitter(pause)) {
			return nil, context.Cause(m.run)
		}
	}
}

// jitter returns from half of d to all of it: what ends one process's lease or watch often ends that of all.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2) }
