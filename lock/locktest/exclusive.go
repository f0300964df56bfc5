package locktest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/lock"
)

func oneHolder(s *suite) {
	name := s.name()
	l, other := s.locker(), s.locker()
	first := s.acquire(l, name)
	require.Positive(s, first.Token())
	require.NoError(s, first.Context().Err())
	s.held(l, lock.Claim{Name: name})
	s.held(other, lock.Claim{Name: name})
	s.release(first)
	require.ErrorIs(s, first.Context().Err(), context.Canceled)
	s.release(first) // says the same again
	second := s.acquire(other, name)
	s.held(l, lock.Claim{Name: name})
	s.release(second)
}

func namesApart(s *suite) {
	l, base := s.locker(), s.name()
	var leases []*lock.Lease
	for _, c := range []lock.Claim{
		{Name: base}, {Dir: base}, {Name: base + "/1"}, {Dir: base, Name: "1"}, {Dir: base + "/1"},
		{Dir: base, Name: "/1"}, {Dir: base + "/", Name: "1"}, {Name: base + "%2F1"}, {Name: base + " 1"},
		{Name: "{" + base + "}"}, {Name: "{}" + base}, {Name: base + "{"}, {Name: base + "}"}, {Name: base + "\n"},
		{Name: base + "\r\n1"}, {Name: base + "\x00"}, {Name: base + ".*"}, {Name: base + ".>"}, {Name: base + ":n"},
		{Name: base + "ü"}, {Name: base + "u\u0308"}, {Name: base + "🔒"}, {Dir: base, Name: " "}, {Dir: " ", Name: base},
	} {
		c.NoWait = true
		leases = append(leases, s.hold(l, c))
		s.held(l, c)
	}
	s.release(leases...)
}

func servedInOrder(s *suite) {
	const n = 10
	name := s.name()
	last := s.acquire(s.locker(), name)
	var line []*waiter
	for range n {
		line = append(line, s.wait(s.Context(), lock.Claim{Name: name}))
	}
	for i, w := range line {
		for _, later := range line[i+1:] {
			require.Empty(s, later.lease, "a later waiter must not overtake")
		}
		token := last.Token()
		s.release(last)
		last = w.pushed()
		require.Greater(s, last.Token(), token, "tokens must grow with every grant")
	}
	s.release(last)
}

func busyName(s *suite) {
	const workers, rounds = 6, 20
	name := s.name()
	var holders, most atomic.Int32
	var tokens sync.Map
	var wg sync.WaitGroup
	for range workers {
		l := s.locker()
		wg.Go(func() {
			var last lock.Token
			for range rounds {
				lease, err := l.Acquire(s.Context(), name)
				if err != nil {
					s.Errorf("a live waiter must be served: %v", err)
					return
				}
				most.Store(max(most.Load(), holders.Add(1)))
				if _, repeated := tokens.LoadOrStore(lease.Token(), true); repeated || lease.Token() <= last {
					s.Errorf("token %d after %d: tokens must grow and never repeat", lease.Token(), last)
				}
				last = lease.Token()
				holders.Add(-1)
				if err := lease.Release(); err != nil {
					s.Errorf("a held lease must be released: %v", err)
				}
			}
		})
	}
	wg.Wait()
	require.EqualValues(s, 1, most.Load(), "one may hold at a time")
}

func grantPushed(s *suite) {
	name := s.name()
	first := s.acquire(s.locker(), name)
	w := s.wait(s.Context(), lock.Claim{Name: name})
	w.blocked()
	s.release(first)
	s.release(w.pushed())
}

func together(s *suite) {
	a, b, c := s.name(), s.name(), s.name()
	l := s.locker()
	all, err := l.AcquireAll(s.Context(), c, a, b, a)
	require.NoError(s, err)
	require.Len(s, all.All(), 3, "a name that is given twice is taken once")
	for i, lease := range all.All() {
		require.NoError(s, all.Context().Err())
		require.Positive(s, lease.Token())
		s.held(s.locker(), lock.Claim{Name: []string{a, b, c}[i]})
	}
	ctx := all.Context()
	s.release(all.All()[1])
	require.Error(s, ctx.Err(), "the common context must end with any of the leases")
	select {
	case <-ctx.Done():
	case <-time.After(s.ttl):
		require.Fail(s, "still running", "the common context must end with any of the leases")
	}
	require.NoError(s, all.Release())
	s.release(s.acquire(l, a), s.acquire(l, b), s.acquire(l, c))
}
