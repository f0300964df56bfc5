package locktest

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/lock"
)

func readersShare(s *suite) {
	name := s.name()
	read := lock.Claim{Name: name}.Shared()
	l := s.locker()
	r1, r2 := s.hold(l, read), s.hold(s.locker(), read)
	require.NotEqual(s, r1.Token(), r2.Token(), "every grant has a token of its own")
	w := s.wait(s.Context(), lock.Claim{Name: name})
	r3, r4 := s.wait(s.Context(), read), s.wait(s.Context(), read)
	s.held(l, read) // behind a writer
	s.release(r1)
	w.blocked()
	r3.blocked()
	s.release(r2)
	writer := w.pushed()
	r3.blocked()
	s.release(writer)
	s.release(r3.pushed(), r4.pushed())
}

func semaphore(s *suite) {
	const capacity, workers, rounds = 3, 8, 6
	name := s.name()
	var full []*lock.Lease
	for range capacity {
		full = append(full, s.hold(s.locker(), lock.Claim{Name: name}.Of(1, capacity)))
	}
	s.held(s.locker(), lock.Claim{Name: name}.Of(1, capacity))
	s.release(full...)

	var in, most atomic.Int32
	var wg sync.WaitGroup
	for range workers / 2 {
		l := s.locker()
		for range 2 {
			wg.Go(func() {
				for range rounds {
					lease, err := l.Claim(s.Context(), lock.Claim{Name: name}.Of(1, capacity))
					if err != nil {
						s.Errorf("a live waiter must be served: %v", err)
						return
					}
					now := in.Add(1)
					for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
					}
					time.Sleep(s.ttl / 400)
					in.Add(-1)
					if err := lease.Release(); err != nil {
						s.Errorf("a held lease must be released: %v", err)
					}
				}
			})
		}
	}
	wg.Wait()
	require.LessOrEqual(s, most.Load(), int32(capacity), "the capacity must not be exceeded")
}

func smallestCapacity(s *suite) {
	l, base := s.locker(), lock.Claim{Name: s.name()}
	two, one := s.hold(l, base.Of(2, 3)), s.hold(l, base.Of(1, 3))
	s.held(l, base.Of(1, 3))
	strict := s.wait(s.Context(), base.Of(1, 1))
	wide := s.wait(s.Context(), base.Of(1, 9))
	s.release(two)
	strict.blocked()
	s.release(one)
	alone := strict.pushed()
	wide.blocked()
	s.release(alone)
	s.release(wide.pushed())
}

// crowdShares takes a name by many at once, as the handlers of one busy process do.
func crowdShares(s *suite) {
	const crowd = 30
	read := lock.Claim{Name: s.name()}.Shared()
	l := s.locker()
	leases := make(chan *lock.Lease, crowd)
	var wg sync.WaitGroup
	for i := range crowd {
		c := read
		c.NoWait = i%2 == 0
		wg.Go(func() {
			lease, err := l.Claim(s.Context(), c)
			if err != nil {
				s.Errorf("shared claims hold together: %v", err)
				return
			}
			leases <- lease
		})
	}
	wg.Wait()
	close(leases)
	s.held(l, lock.Claim{Name: read.Name})
	for lease := range leases {
		s.release(lease)
	}
	s.release(s.acquire(l, read.Name))
}

// grantsFollowRule drives one line with random claims and compares who holds with a second implementation.
func grantsFollowRule(s *suite) {
	seed := rand.Uint64()
	s.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	b, name := s.connect(), s.name()
	var line []lock.Claim
	for range 120 {
		if len(line) > 0 && rnd.IntN(2) == 0 {
			i := rnd.IntN(len(line))
			was, err := b.Release(s.Context(), line[i])
			require.NoError(s, err)
			require.True(s, was, "a claim in line must be there to release")
			line = slices.Delete(line, i, i+1)
		} else {
			capacity := 1 + rnd.IntN(4)
			c := s.claim(name).Of(1+rnd.IntN(capacity), capacity)
			c.TTL = time.Minute
			_, err := b.Acquire(s.Context(), c, func(lock.State) {})
			require.NoError(s, err)
			line = append(line, c)
		}
		want := naiveHolders(line)
		states, err := b.Renew(s.Context(), line)
		require.NoError(s, err)
		for i, st := range states {
			require.Equal(s, want[i], st.Phase == lock.Held, "claim %d of %+v: the longest prefix that fits holds", i, line)
		}
	}
	for _, c := range line {
		_, err := b.Release(s.Context(), c)
		require.NoError(s, err)
	}
}

// naiveHolders says who holds by trying every prefix.
func naiveHolders(line []lock.Claim) []bool {
	held := make([]bool, len(line))
	for n := 1; n <= len(line); n++ {
		sum, least := 0, lock.All
		for _, c := range line[:n] {
			sum += c.Weight
			least = min(least, c.Capacity)
		}
		if sum > least {
			break
		}
		held[n-1] = true
	}
	return held
}
