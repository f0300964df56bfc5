package electionbench

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/concordkit/concord/internal/benchmarks/redisproc"
)

func startAll(t *testing.T) *servers {
	t.Helper()
	s, err := start(t.Context())
	if errors.Is(err, redisproc.ErrMissing) {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(s.stop)
	return s
}

// Every side must have one leader at a time, and another one after each resignation, or its numbers mean nothing.
func TestEverySideHandsOver(t *testing.T) {
	s := startAll(t)
	const n = 3
	for _, side := range []side{
		concord(s.onRedis()), concord(s.onEtcd()), concord(s.onNATS()), s.stock(), new(kubernetes).side(),
	} {
		p, err := side.party(t.Context(), "a", n, ttl)
		require.NoError(t, err, side.name)
		defer p.close()
		for range n {
			old := p.leader.candidate
			gap, err := p.turn() // fails where another one leads before
			require.NoError(t, err)
			require.Positive(t, gap, side.name)
			require.NotEqual(t, old, p.leader.candidate, side.name)
		}
	}
}

// A leader that crashes is followed, and not before its lease can have ended.
func TestEverySideFailsOver(t *testing.T) {
	s := startAll(t)
	for _, e := range []engine{s.onRedis(), s.onEtcd(), s.onNATS()} {
		m, err := mortalOn(t.Context(), e, crashTTL)
		require.NoError(t, err)
		defer m.close()
		late, err := m.crash(t.Context(), "a", crashTTL)
		require.NoError(t, err)
		require.Positive(t, late, m.name)
	}
	m, err := s.mortalStock(t.Context(), crashTTL)
	require.NoError(t, err)
	defer m.close()
	late, err := m.crash(t.Context(), "a", crashTTL)
	require.NoError(t, err)
	require.Positive(t, late, m.name)
}

func TestFollowersHearOfLeave(t *testing.T) {
	s := startAll(t)
	f, err := openFleet(t.Context(), s.onRedis())
	require.NoError(t, err)
	defer f.close()
	require.Len(t, f.rings, followers)
	leaving, gone, err := f.leaves(t.Context())
	require.NoError(t, err)
	for i := range leaves {
		require.Positive(t, leaving[i])
		require.Positive(t, gone[i], "out of the ring before the drain time was over")
	}
}

func TestRecordsRefuseStaleWrites(t *testing.T) {
	k := new(kubernetes)
	a, b := &resource{k: k, name: "a"}, &resource{k: k, name: "a"}
	_, _, err := a.Get(t.Context())
	require.True(t, apierrors.IsNotFound(err))
	require.NoError(t, a.Create(t.Context(), resourcelock.LeaderElectionRecord{}))
	require.True(t, apierrors.IsAlreadyExists(b.Create(t.Context(), resourcelock.LeaderElectionRecord{})))
	_, _, err = b.Get(t.Context())
	require.NoError(t, err)
	require.NoError(t, a.Update(t.Context(), resourcelock.LeaderElectionRecord{HolderIdentity: "a"}))
	require.True(t, apierrors.IsConflict(b.Update(t.Context(), resourcelock.LeaderElectionRecord{})))
	now, _, err := b.Get(t.Context())
	require.NoError(t, err)
	require.Equal(t, "a", now.HolderIdentity)
	require.EqualValues(t, 7, k.requests.Load())
}
