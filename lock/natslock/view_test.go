package natslock

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/lock"
)

func claimMessage(key string, seq, order uint64, weight, capacity int) message {
	return message{key: key, seq: seq, ttl: "2", data: record{order: order, weight: weight, capacity: capacity}.encode()}
}

func markerMessage(key string, seq uint64) message { return message{key: key, seq: seq, marker: true} }

func requireStands(t *testing.T, v *view, key string, want standing) {
	t.Helper()
	s, err := v.stands(key)
	require.NoError(t, err)
	require.Equal(t, want, s)
}

func TestViewKeepsTheOrderOfCreates(t *testing.T) {
	v := newView([]message{
		claimMessage("n.x.b", 12, 0, lock.All, lock.All),
		claimMessage("n.x.a", 15, 10, lock.All, lock.All), // renewed
	}, 20)
	require.EqualValues(t, 20, v.upTo)
	requireStands(t, v, "n.x.a", holding)
	requireStands(t, v, "n.x.b", waiting)
	requireStands(t, v, "n.x.c", absent)
	require.False(t, v.apply(markerMessage("n.x.a", 20)), "older than the view")
	require.False(t, v.apply(claimMessage("n.x.b", 21, 12, lock.All, lock.All)), "a renewal changes nothing")
	require.True(t, v.apply(markerMessage("n.x.a", 22)))
	requireStands(t, v, "n.x.b", holding)
	require.False(t, v.apply(markerMessage("n.x.a", 23)))
	require.True(t, v.apply(markerMessage("n.x.b", 24)))
	require.Empty(t, v.lines)
}

func TestViewGrantsNothingBesideForeignData(t *testing.T) {
	for _, foreign := range []message{
		{key: "n.x.hand", seq: 9, ttl: "2", data: []byte("put by hand")},
		{key: "n.x.b", seq: 9, data: record{weight: 1, capacity: 1}.encode()}, // would live for ever
		{key: "n.x.not=an=id", seq: 9, ttl: "2", data: record{weight: 1, capacity: 1}.encode()},
	} {
		v := newView([]message{claimMessage("n.x.a", 5, 0, 1, 1), foreign}, 9)
		_, err := v.stands("n.x.a")
		require.ErrorIs(t, err, lock.ErrCorrupt)
		_, err = v.admits("n.x", lock.Claim{Weight: 1, Capacity: 9})
		require.ErrorIs(t, err, lock.ErrCorrupt)
		_, err = v.holders()
		require.ErrorIs(t, err, lock.ErrCorrupt)
		v.apply(markerMessage(foreign.key, 10))
		requireStands(t, v, "n.x.a", holding)
	}
	_, err := newView([]message{claimMessage("d.x.=GG.a", 5, 0, 1, 1)}, 9).holders()
	require.ErrorIs(t, err, lock.ErrCorrupt)
}

func TestViewShowsHoldersOnly(t *testing.T) {
	v := newView([]message{
		claimMessage("d.x.=.a", 5, 0, 1, 2), claimMessage("d.x.=.b", 6, 0, 1, 2), claimMessage("d.x.=.c", 7, 0, 1, 2),
		claimMessage("d.x.n=2F.d", 8, 3, 1, 1),
	}, 9)
	hs, err := v.holders()
	require.NoError(t, err)
	require.ElementsMatch(t, []lock.Holder{
		{ID: "a", Token: 5, Weight: 1}, {ID: "b", Token: 6, Weight: 1}, {Name: "n/", ID: "d", Token: 3, Weight: 1},
	}, hs)
}
