package locktest

import (
	"context"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/lock"
)

// abandon acquires c as a process does that dies at once.
func (s *suite) abandon(b lock.Backend, c lock.Claim) lock.State {
	s.Helper()
	st, err := b.Acquire(s.Context(), c, func(lock.State) {})
	require.NoError(s, err)
	return st
}

func livesTTL(s *suite) {
	name := s.name()
	start := time.Now()
	require.Equal(s, lock.Held, s.abandon(s.connect(), s.claim(name)).Phase)
	w := s.wait(s.Context(), lock.Claim{Name: name})
	s.release(w.granted(s.ttl+slack, "a dead holder's claim must end with its TTL"))
	require.GreaterOrEqual(s, time.Since(start), s.ttl*9/10, "a claim must live its TTL")
}

func renewedLives(s *suite) {
	a, b := s.name(), s.name()
	holder, other := s.locker(), s.locker()
	first, second := s.acquire(holder, a), s.acquire(other, b)
	w := s.wait(s.Context(), lock.Claim{Name: a})
	expires := first.Expires()
	time.Sleep(s.ttl * 5 / 2)
	require.NoError(s, first.Context().Err(), "a held lease must be renewed")
	require.NoError(s, second.Context().Err(), "a held lease must be renewed")
	require.True(s, first.Expires().After(expires), "Expires must move with every renewal")
	w.blocked()
	s.release(first, second)
	s.release(w.pushed())
}

func deadStays(s *suite) {
	name, b := s.name(), s.connect()
	c := s.claim(name)
	old := s.abandon(b, c)
	w := s.wait(s.Context(), lock.Claim{Name: name})
	next := w.granted(s.ttl+slack, "a dead holder's claim must end with its TTL")
	require.Greater(s, next.Token(), old.Token, "tokens must grow with every grant")

	states, err := b.Renew(s.Context(), []lock.Claim{c})
	require.NoError(s, err)
	require.Equal(s, lock.Gone, states[0].Phase, "a renewal must not revive a dead claim")
	set, err := b.SetValue(s.Context(), c)
	require.NoError(s, err)
	require.False(s, set, "a dead claim has no value to set")
	was, err := b.Release(s.Context(), c)
	require.NoError(s, err)
	require.False(s, was, "a dead claim is not there to release")

	s.held(s.locker(), lock.Claim{Name: name}) // the successor is untouched
	require.NoError(s, next.Context().Err())
	s.release(next)
}

func deadWaiters(s *suite) {
	name, b := s.name(), s.connect()
	first := s.acquire(s.locker(), name)
	for range 5 {
		require.Equal(s, lock.Queued, s.abandon(b, s.claim(name)).Phase)
	}
	w := s.wait(s.Context(), lock.Claim{Name: name})
	start := time.Now()
	s.release(first)
	s.release(w.granted(2*s.ttl+slack, "a live waiter must be served"))
	require.Less(s, time.Since(start), s.ttl+slack, "dead waiters ahead must cost one TTL in all, not one each")
}

func placeKept(s *suite) {
	name, b := s.name(), s.connect()
	first := s.acquire(s.locker(), name)
	require.Equal(s, lock.Queued, s.abandon(b, s.claim(name)).Phase)
	w := s.wait(s.Context(), lock.Claim{Name: name})
	time.Sleep(s.ttl * 2)
	w.blocked()
	s.release(first)
	s.release(w.pushed())
}

func grantExtendsNothing(s *suite) {
	name, b := s.name(), s.connect()
	first := s.acquire(s.locker(), name)
	granted := make(chan time.Time, 1)
	start := time.Now()
	c := s.claim(name)
	_, err := b.Acquire(s.Context(), c, func(st lock.State) {
		if st.Phase == lock.Held || st.Phase == lock.Unknown { // an engine may ask to look instead
			select {
			case granted <- time.Now():
			default:
			}
		}
	})
	require.NoError(s, err)
	w := s.wait(s.Context(), lock.Claim{Name: name})
	time.Sleep(s.ttl / 2)
	s.release(first)
	select {
	case <-granted:
	case <-time.After(s.ttl / 4):
		require.Fail(s, "no push", "a grant must be pushed")
	}
	next := w.granted(s.ttl+slack, "a dead holder's claim must end with its TTL")
	// Counted from the grant, it would have lived half a TTL longer.
	require.Less(s, time.Since(start), s.ttl*3/2+slack/3, "a claim must live from its last request, not from its grant")
	s.release(next)
}

func waitLeavesNothing(s *suite) {
	name := s.name()
	first := s.acquire(s.locker(), name)
	ctx, cancel := context.WithCancel(s.Context())
	w := s.wait(ctx, lock.Claim{Name: name})
	behind := s.wait(s.Context(), lock.Claim{Name: name})
	cancel()
	select {
	case err := <-w.err:
		require.ErrorIs(s, err, context.Canceled)
	case <-time.After(s.ttl / 4):
		require.Fail(s, "still waiting", "a wait must end with its context")
	}
	s.release(first)
	s.release(behind.pushed())
	lease, err := s.locker().TryAcquire(s.Context(), name)
	require.NoError(s, err, "a wait that ended must leave nothing behind")
	s.release(lease)
}
