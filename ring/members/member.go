package members

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/ring"
)

// Node returns the node as it was given last. Leave its Meta unchanged.
func (m *Member) Node() ring.Node {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.node
}

// Update changes the node by edit, which may set anything but the ID, and shows it to the followers. While the member is
// cut off it waits until it has joined again.
//
// After [ErrInvalid] nothing is changed. After any other error the node is changed here, and the followers will see it so
// unless the member is lost: it is shown again until that has worked.
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
	old := m.Node()
	node := old
	node.Meta = maps.Clone(old.Meta)
	if edit(&node); node.ID != old.ID {
		return fmt.Errorf("members: %w: edit changed the ID %.40q to %.40q", ErrInvalid, old.ID, node.ID)
	}
	v, err := encode(node)
	if err != nil {
		return err
	}
	m.setNode(node)
	switch err := m.write(ctx, v); {
	case errors.Is(err, ErrInvalid): // longer than the engine takes: the next lease must not try it either
		m.setNode(old)
		return m.fail("update", err)
	case err != nil:
		select {
		case m.unsure <- struct{}{}:
		default: // it is known
		}
		return m.fail("update", err)
	}
	return nil
}

func (m *Member) setNode(n ring.Node) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.node = n
}

// write shows v by the lease that there is, or that comes next.
func (m *Member) write(ctx context.Context, v []byte) error {
	for {
		lease, err := m.current(ctx)
		if err != nil {
			return err
		}
		// A lease that was taken meanwhile may show the node as it was.
		if err = lease.SetValue(ctx, v); !errors.Is(err, lock.ErrLost) {
			return err
		}
	}
}

// current returns a lease that has not ended, as far as one can tell.
func (m *Member) current(ctx context.Context) (*lock.Lease, error) {
	for {
		m.mu.Lock()
		lease, joined, lost := m.lease, m.joined, m.lost
		m.mu.Unlock()
		switch {
		case lost != nil:
			return nil, lost
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
// membership. Requests that were on their way can be served until it returns. If ctx ends earlier, or the membership is
// lost, the end comes at once; releasing takes at most what is left of the lease. Followers that have not heard that the member
// was leaving take it for one that vanished.
//
// It returns nil if the membership has ended in order, and an error that wraps [lock.ErrLost] if it was lost at the end or
// [lock.ErrUnknownOutcome] if the release may not have arrived; either way it is over within a TTL. All calls
// return the same.
func (m *Member) Leave(ctx context.Context) error {
	m.leave.Do(func() {
		go func() {
			defer close(m.gone)
			m.left = m.end()
		}()
	})
	select {
	case <-m.gone:
	case <-ctx.Done():
		m.hasten()
		<-m.gone
	}
	return m.left
}

// end leaves; hurry ends its drain.
func (m *Member) end() error {
	drain, cancel := context.WithTimeout(m.hurry, m.drain)
	defer cancel()
	for {
		err := m.Update(drain, func(n *ring.Node) { n.State = ring.Leaving })
		if err == nil || errors.Is(err, ErrInvalid) || !sleep(drain, jitter(minPause)) {
			break
		}
	}
	select {
	case <-drain.Done():
	case <-m.kept: // there is no membership to stay in
	}
	m.cancel(errLeft)
	<-m.kept
	if err := m.lease.Release(); err != nil { // nobody else writes it now
		return m.fail("leave as", err)
	}
	return nil
}
