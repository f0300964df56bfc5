package members

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/ring"
)

const (
	defaultDrain = 5 * time.Second
	// A member that was lost tries again after a pause that doubles from minPause to maxPause.
	minPause = 100 * time.Millisecond
	maxPause = 2 * time.Second
)

// Options configure [Join]. A nil *Options means the defaults.
type Options struct {
	// TTL is how long the member outlives a crash, as in lock.Claim. It defaults to that of the Locker.
	TTL time.Duration
	// Drain is how long [Member.Leave] stays after it has said so, for requests that are on their way. It defaults to 5 s;
	// a negative one is none.
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
	leave  sync.Once
	left   error // what Leave returns

	mu     sync.Mutex
	node   ring.Node
	lease  *lock.Lease
	joined chan struct{} // closed and replaced when there is another lease
	gone   error         // why there will be no other one
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
		kept: make(chan struct{}), writes: make(chan struct{}, 1), joined: make(chan struct{}), node: node,
	}
	if m.drain == 0 {
		m.drain = defaultDrain
	}
	m.node.Meta = maps.Clone(node.Meta)
	lease, err := m.claim(ctx)
	if err != nil {
		return nil, err
	}
	m.lease = lease
	m.run, m.cancel = context.WithCancelCause(context.Background())
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

// keep takes another lease whenever one is lost.
func (m *Member) keep(lease *lock.Lease) {
	defer close(m.kept)
	for {
		select {
		case <-lease.Context().Done():
		case <-m.run.Done():
			return
		}
		m.trace.lost(m.set, m.Node(), context.Cause(lease.Context()))
		var err error
		if lease, err = m.rejoin(); err != nil {
			m.mu.Lock()
			m.gone = err
			close(m.joined)
			m.mu.Unlock()
			return
		}
		m.mu.Lock()
		m.lease = lease
		close(m.joined)
		m.joined = make(chan struct{})
		m.mu.Unlock()
		m.trace.rejoined(m.set, m.Node())
	}
}

// rejoin tries until there is a lease or no sense in trying.
func (m *Member) rejoin() (*lock.Lease, error) {
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		lease, err := m.claim(m.run)
		switch {
		case err == nil:
			return lease, nil
		case m.run.Err() != nil:
			return nil, context.Cause(m.run)
		case errors.Is(err, lock.ErrInvalid), errors.Is(err, lock.ErrClosed):
			return nil, err
		}
		m.trace.lost(m.set, m.Node(), err)
		select {
		case <-time.After(pause):
		case <-m.run.Done():
			return nil, context.Cause(m.run)
		}
	}
}

// Node returns the node as it was given last. Leave its Meta unchanged.
func (m *Member) Node() ring.Node {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.node
}

// Update changes the node by edit, which may set anything but the ID, and shows it to the followers. While the member is
// cut off it waits until it has joined again. If ctx ends before the change is known to be shown it may be shown later.
func (m *Member) Update(ctx context.Context, edit func(n *ring.Node)) error {
	if edit == nil {
		return fmt.Errorf("members: %w: nil edit", ErrInvalid)
	}
	select {
	case m.writes <- struct{}{}:
	case <-ctx.Done():
		return m.fail("update", context.Cause(ctx))
	}
	defer func() { <-m.writes }()
	node := m.Node()
	id := node.ID
	node.Meta = maps.Clone(node.Meta)
	if edit(&node); node.ID != id {
		return fmt.Errorf("members: %w: edit changed the ID %.40q to %.40q", ErrInvalid, id, node.ID)
	}
	v, err := encode(node)
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.node = node
	m.mu.Unlock()
	for {
		lease, err := m.current(ctx)
		if err != nil {
			return m.fail("update", err)
		}
		// A lease that was taken meanwhile may show the node as it was.
		if err = lease.SetValue(ctx, v); err == nil {
			return nil
		}
		if !errors.Is(err, lock.ErrLost) {
			return m.fail("update", err)
		}
	}
}

// current returns a lease that has not ended, as far as one can tell.
func (m *Member) current(ctx context.Context) (*lock.Lease, error) {
	for {
		m.mu.Lock()
		lease, joined, gone := m.lease, m.joined, m.gone
		m.mu.Unlock()
		switch {
		case gone != nil:
			return nil, gone
		case lease.Context().Err() == nil:
			return lease, nil
		}
		select {
		case <-joined:
		case <-m.kept: // by Leave
			return nil, errLeft
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (m *Member) fail(verb string, err error) error {
	return fmt.Errorf("members: %s %q in %q: %w", verb, m.Node().ID, m.set, err)
}

// Leave says that the member is leaving, so that followers send it nothing new, stays for the drain time, and then ends the
// membership. If ctx ends earlier it ends at once. Requests that were on their way can be served until Leave returns.
//
// It returns nil if the membership has ended in order, and an error that wraps [lock.ErrLost] if it was lost at the end or
// [lock.ErrUnknownOutcome] if the release may not have arrived; either way it is over within a TTL. Later calls
// return the same.
func (m *Member) Leave(ctx context.Context) error {
	m.leave.Do(func() { m.left = m.end(ctx) })
	return m.left
}

func (m *Member) end(ctx context.Context) error {
	if m.drain > 0 {
		drain, cancel := context.WithTimeout(ctx, m.drain)
		defer cancel()
		// If this fails the followers hear of it by the release, or after the TTL.
		if err := m.Update(drain, func(n *ring.Node) { n.State = ring.Leaving }); err == nil {
			<-drain.Done()
		}
	}
	m.cancel(errLeft)
	<-m.kept
	if err := m.lease.Release(); err != nil { // nobody else writes it now
		return m.fail("leave as", err)
	}
	return nil
}
