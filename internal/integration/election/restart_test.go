package election_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/election"
	"github.com/concordkit/concord/election/electiontest"
	"github.com/concordkit/concord/internal/integration/stores"
)

// A restart that loses nothing goes unnoticed: the leader leads on, and candidates keep their places.
func TestServerRestarts(t *testing.T) { // T16
	stores.OnDurable(t, func(t *testing.T, s stores.Durable) {
		name := random()
		var shifts electiontest.Shifts
		a, b := linked(t, s, s.Links(t), name, "a"), linked(t, s, s.Links(t), name, "b")
		first, resign := a.work(&shifts)
		before := within(t, ttl, first, "the only candidate must lead")
		second, _ := b.work(&shifts)
		within(t, ttl, b.queued, "a candidate must wait while another one leads")
		w, err := direct(t, s, name, "observer").Watch(t.Context())
		require.NoError(t, err)
		require.Equal(t, election.Leader{ID: "a", Value: "addr-a", Term: before.term}, w.Leader())
		s.Crash()
		time.Sleep(ttl)
		require.Empty(t, before.ended, "a leadership must outlive a restart that loses nothing")
		resign()
		after := within(t, ttl, second, "a place in line must outlive it too")
		require.Greater(t, after.term, before.term)
		start := time.Now()
		for leader, err := range w.All(t.Context()) {
			require.NoError(t, err, "a watch must outlive it too")
			require.Less(t, time.Since(start), ttl)
			if leader.Term == after.term {
				break
			}
		}
		require.NoError(t, shifts.Err())
	})
}
