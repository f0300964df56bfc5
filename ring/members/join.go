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
