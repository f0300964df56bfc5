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
