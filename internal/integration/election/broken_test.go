package election_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/election/electiontest"
	"github.com/concordkit/concord/internal/integration/stores"
	"github.com/concordkit/concord/lock"
)

// liar is an engine that says that a claim is held as it was at first, and renews nothing.
type liar struct {
	lock.Backend
	first lock.State
}

func (l *liar) Acquire(ctx context.Context, c lock.Claim, notify func(lock.State)) (lock.State, error) {
	st, err := l.Backend.Acquire(ctx, c, notify)
	l.first = st
	return st, err
}

func (l *liar) Renew(context.Context, []lock.Claim) ([]lock.State, error) {
	return []lock.State{l.first}, nil
}

// The control: the tests of this package must find two leaders where there are two.
func TestTwoLeadersAreFound(t *testing.T) {
	stores.OnEach(t, func(t *testing.T, s stores.Store) {
		name := random()
		var shifts electiontest.Shifts
		old := newNode(t, &liar{Backend: s.Connect(t, nil)}, nil, name, "liar")
		first, stop := old.work(&shifts)
		before := within(t, ttl, first, "the only candidate must lead")
		second, _ := direct(t, s, name, "next").work(&shifts)
		within(t, 3*ttl, second, "a leader that does not renew must be followed")
		require.Empty(t, before.ended)
		require.ErrorContains(t, shifts.Err(), "begins to work while", "or the tests prove nothing")
		stop()
	})
}
