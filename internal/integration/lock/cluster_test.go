package lock_test

import (
	"crypto/rand"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/internal/integration/history"
	"github.com/concordkit/concord/internal/integration/stores"
	"github.com/concordkit/concord/lock"
)

// electionTime is how long a cluster may do without a leader. NATS needs 6 to 10 s.
const electionTime = 20 * time.Second

// Whoever talks to nobody but a leader that is cut off must hear of the loss before the others get on.
func TestClientOfALeaderThatIsCutOff(t *testing.T) { // T1
	stores.OnClusters(t, func(t *testing.T, s stores.Cluster) {
		for i := range max(1, stores.Trials(t)/15) {
			lead := afterIsolation(t, s, time.Duration(i)*ttl/10)
			require.Positive(t, lead, "told after the next holder")
			t.Logf("told %v before the next holder", lead)
		}
	})
}

// afterIsolation cuts the leader off while a client of it holds and one of the others waits, and returns how long before
// the other one holds the first one is told.
func afterIsolation(t *testing.T, s stores.Cluster, phase time.Duration) time.Duration {
	t.Helper()
	leader := s.Leader(t)
	links := s.Links(t)
	old := newProcess(t, s, links[leader:leader+1], nil)
	next := newProcess(t, s, slices.Concat(links[:leader], links[leader+1:]), nil)
	defer s.Heal()
	return between(t, old, next, func() {
		time.Sleep(phase)
		s.Isolate(leader)
	})
}

// between returns how long before next holds old is told, when something befalls it.
func between(t *testing.T, old, next *process, befall func()) time.Duration {
	t.Helper()
	name := rand.Text()
	lease := old.acquire(t, name)
	held := make(chan time.Time, 1)
	go func() {
		for t.Context().Err() == nil { // its place is lost if an election takes longer than the TTL
			if lease, err := next.locks.Acquire(t.Context(), name); err == nil {
				held <- time.Now()
				lease.Release()
				return
			}
		}
	}()
	befall()
	<-lease.Context().Done()
	told := time.Now()
	return within(t, electionTime, held, "the next one must get the lock").Sub(told)
}

// Histories stay right while leaders are cut off, and so do those whose links break as well.
func TestHistoriesWithLeadersCutOff(t *testing.T) {
	stores.OnClusters(t, func(t *testing.T, s stores.Cluster) {
		r := history.New()
		done := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(ttl / 2):
					s.Isolate(s.Leader(t)) // the next leader() waits for the successor
					s.Leader(t)
					time.Sleep(ttl / 2)
					s.Heal()
				}
			}
		})
		drive(t, s, r, 20*time.Second, []faultproxy.Faults{{}, {Latency: 20 * time.Millisecond}}, nil)
		close(done)
		wg.Wait()
		require.Greater(t, r.Len(), 50, "the clients must get something done")
		r.Require(t, history.Lease)
	})
}

func TestRestartThatLosesNothing(t *testing.T) { // T16
	stores.OnDurable(t, func(t *testing.T, s stores.Durable) {
		p := direct(t, s)
		lease := p.acquire(t, "restart")
		trace, queued := queueing()
		got := queue(t, linked(t, s, trace), queued, "restart")
		w, err := p.locks.Watch(t.Context(), "dir")
		require.NoError(t, err)
		s.Crash()
		time.Sleep(ttl)
		require.NoError(t, lease.Context().Err(), "a lease must outlive a restart that loses nothing")
		require.NoError(t, lease.Release())
		next := within(t, ttl, got, "a place in line must outlive it too")
		require.Greater(t, next.Token(), lease.Token())
		require.NoError(t, next.Release())
		listed, err := p.locks.Claim(t.Context(), lock.Claim{Dir: "dir", Name: "n"})
		require.NoError(t, err)
		sees(t, w, 1)
		require.NoError(t, listed.Release())
		sees(t, w, 0)
	})
}
