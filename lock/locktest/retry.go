package locktest

import (
	"context"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/lock"
)

func refusedLater(s *suite) {
	b := s.connect()
	for _, noWait := range []bool{false, true} {
		c := s.claim(s.name())
		c.NoWait = noWait
		was, err := b.Release(s.Context(), c)
		require.NoError(s, err)
		require.False(s, was, "a claim that never came is not there to release")
		require.Equal(s, lock.Gone, s.abandon(b, c).Phase, "an acquire that its release has overtaken must be refused")
		lease, err := s.locker().TryAcquire(s.Context(), c.Name)
		require.NoError(s, err, "a refused claim must not hold")
		s.release(lease)
	}
}

func acquireRepeated(s *suite) {
	b, name := s.connect(), s.name()
	held, queued := s.claim(name), s.claim(name)
	first := s.abandon(b, held)
	require.Equal(s, lock.Queued, s.abandon(b, queued).Phase)
	time.Sleep(s.ttl / 2)
	again := s.abandon(b, held)
	require.Equal(s, lock.Held, again.Phase)
	require.Equal(s, first.Token, again.Token, "a repeated acquire must get the same token")
	require.Equal(s, lock.Queued, s.abandon(b, queued).Phase)
	time.Sleep(s.ttl * 7 / 10)
	states, err := b.Renew(s.Context(), []lock.Claim{held, queued})
	require.NoError(s, err)
	require.Equal(s, lock.Held, states[0].Phase, "a repeated acquire renews")
	require.Equal(s, lock.Queued, states[1].Phase, "a repeated acquire renews")
	for _, c := range []lock.Claim{held, queued} {
		was, err := b.Release(s.Context(), c)
		require.NoError(s, err)
		require.True(s, was)
	}
}

func noWaitNoTrace(s *suite) {
	b, name := s.connect(), s.name()
	first := s.acquire(s.locker(), name)
	c := s.claim(name)
	c.NoWait = true
	require.Equal(s, lock.Queued, s.abandon(b, c).Phase)
	s.release(first)
	states, err := b.Renew(s.Context(), []lock.Claim{c})
	require.NoError(s, err)
	require.Equal(s, lock.Gone, states[0].Phase, "a claim that does not wait must not stay in line")
	lease, err := s.locker().TryAcquire(s.Context(), name)
	require.NoError(s, err)
	s.release(lease)
}

func tryRepeated(s *suite) {
	b, c := s.connect(), s.claim(s.name())
	c.NoWait = true
	first := s.abandon(b, c)
	require.Equal(s, lock.Held, first.Phase)
	again := s.abandon(b, c)
	require.Equal(s, lock.Held, again.Phase, "a claim must not be in its own way")
	require.Equal(s, first.Token, again.Token, "a repeated acquire must get the same token")
	was, err := b.Release(s.Context(), c)
	require.NoError(s, err)
	require.True(s, was)
	lease, err := s.locker().TryAcquire(s.Context(), c.Name)
	require.NoError(s, err)
	s.release(lease)
}

func closeEnds(s *suite) {
	name, free := s.name(), s.name()
	l := s.locker()
	holder := s.acquire(l, name)
	lease := s.acquire(l, free)
	waits := make(chan error, 1)
	go func() {
		_, err := l.Acquire(s.Context(), name)
		waits <- err
	}()
	watch, err := l.Watch(s.Context(), s.name())
	require.NoError(s, err)
	time.Sleep(s.ttl / 20)
	ctx, stop := context.WithTimeout(s.Context(), 5*s.ttl)
	defer stop()
	require.NoError(s, l.Close(ctx))
	require.ErrorIs(s, <-waits, lock.ErrClosed, "Close must end waits")
	for _, err := range watch.All(s.Context()) {
		if err != nil {
			require.ErrorIs(s, err, lock.ErrClosed, "Close must end watches")
		}
	}
	require.ErrorIs(s, context.Cause(holder.Context()), lock.ErrReleased)
	s.release(lease) // says what Close got
	_, err = l.Acquire(s.Context(), free)
	require.ErrorIs(s, err, lock.ErrClosed)
	other := s.locker()
	s.release(s.acquire(other, name), s.acquire(other, free))
}

func tokensGrow(s *suite) {
	name := s.name()
	var last lock.Token
	for range 5 {
		lease := s.acquire(s.locker(), name)
		require.Greater(s, lease.Token(), last, "tokens must grow with every grant")
		require.Less(s, lease.Token(), lock.Token(1)<<53, "tokens must stay exact in a float64")
		last = lease.Token()
		s.release(lease)
	}
	st := s.abandon(s.connect(), s.claim(name))
	require.Greater(s, st.Token, last)
	lease := s.wait(s.Context(), lock.Claim{Name: name}).granted(s.ttl+slack, "a dead holder's claim must end with its TTL")
	require.Greater(s, lease.Token(), st.Token, "tokens must grow after an expiry too")
	s.release(lease)
}
