package electiontest

import (
	"context"
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/election"
	"github.com/concordkit/concord/lock"
)

func oneLeads(s *suite) {
	const nodes, turns = 5, 20
	var shifts Shifts
	turn := make(chan struct{}, 10*turns)
	var runs []*run
	for i := range nodes {
		runs = append(runs, s.node(fmt.Sprint("n", i)).run(func(ctx context.Context, t election.Term) error {
			defer shifts.Begin(ctx, t)()
			select {
			case <-ctx.Done():
			case <-time.After(s.ttl / 200):
			}
			turn <- struct{}{}
			return nil
		}))
	}
	for range turns {
		receive(s, turn, s.ttl, "candidates must take turns")
	}
	for _, r := range runs {
		r.stop(nil)
		require.ErrorIs(s, r.ends(s, s.ttl, "a run must end with its context"), context.Canceled)
	}
	require.NoError(s, shifts.Err(), "one must lead at a time")
}

func electionsApart(s *suite) {
	n := s.node("n")
	var all []*election.Leadership
	for _, name := range []string{s.name, s.name + "/", s.name + "/1", s.name + "%2F1", s.name + " 1", s.name + "\x00", s.name + "ü"} {
		l, err := election.New(n.locks, name, &election.Options{ID: "n"}).Campaign(s.Context())
		require.NoError(s, err, "%q", name)
		all = append(all, l)
	}
	named, err := n.locks.Claim(s.Context(), lock.Claim{Dir: s.name, Name: "member", NoWait: true})
	require.NoError(s, err, "claims with names in the election's directory are none of its business")
	leader, err := n.Leader(s.Context())
	require.NoError(s, err)
	require.Equal(s, all[0].Term(), leader.Term)
	for _, l := range all {
		require.NoError(s, l.Resign())
	}
	require.NoError(s, named.Release())
}

func inOrder(s *suite) {
	const n = 6
	last := s.node("first").lead()
	var line []*campaign
	for i := range n {
		line = append(line, s.node(fmt.Sprint("n", i)).campaign(s.Context()))
	}
	for i, c := range line {
		for _, later := range line[i:] {
			require.Empty(s, later.won, "nobody may overtake")
		}
		term := last.Term()
		require.NoError(s, last.Resign())
		last = pushed(s, c.won)
		require.Greater(s, last.Term(), term, "terms must grow with every leader")
	}
	require.NoError(s, last.Resign())
}

// crash leads as a process does that dies at once.
func (s *suite) crash() lock.Token {
	s.Helper()
	c := lock.Claim{Dir: s.name, ID: "crashed", Weight: lock.All, Capacity: lock.All, TTL: s.ttl, Value: []byte("crashed")}
	st, err := s.connect().Acquire(s.Context(), c, func(lock.State) {})
	require.NoError(s, err)
	require.Equal(s, lock.Held, st.Phase)
	return st.Token
}

func crashed(s *suite) {
	start := time.Now()
	old := s.crash()
	n := s.node("n")
	leader, err := n.Leader(s.Context())
	require.NoError(s, err)
	require.Equal(s, election.Leader{ID: "crashed", Value: "crashed", Term: old}, leader)
	c := n.campaign(s.Context())
	next := receive(s, c.won, s.ttl+slack, "a leader that crashed must be followed after its TTL")
	require.GreaterOrEqual(s, time.Since(start), s.ttl*9/10, "a leader must be given its TTL")
	require.Greater(s, next.Term(), old, "terms must grow with every leader")
	require.NoError(s, next.Resign())
}

func ownTTL(s *suite) {
	n := s.nodeWith(&election.Options{ID: "n", TTL: 3 * s.ttl})
	require.NoError(s, n.lead().Resign())
	require.Equal(s, 3*s.ttl, n.link.last().TTL, "the TTL of an election goes before that of the Locker")
	other := s.node("other")
	require.NoError(s, other.lead().Resign())
	require.Equal(s, s.ttl, other.link.last().TTL, "the TTL defaults to that of the Locker")
}

func campaignEnds(s *suite) {
	first := s.node("first").lead()
	ctx, cancel := context.WithCancelCause(s.Context())
	c := s.node("a").campaign(ctx)
	behind := s.node("b").campaign(s.Context())
	why := fmt.Errorf("enough")
	cancel(why)
	err := receive(s, c.failed, s.ttl/4, "a campaign must end with its context")
	require.ErrorIs(s, err, context.Canceled)
	require.ErrorIs(s, err, why)
	require.NoError(s, first.Resign())
	require.NoError(s, pushed(s, behind.won).Resign())
	_, err = s.node("a").Campaign(ctx)
	require.ErrorIs(s, err, context.Canceled)
	require.NoError(s, s.node("a").lead().Resign(), "a campaign that ended must leave nothing")
}

// remove takes n's claim away behind its back, as an operator does who revokes a session or deletes a key.
func (s *suite) remove(n *node) {
	s.Helper()
	was, err := s.connect().Release(s.Context(), n.link.last())
	require.NoError(s, err)
	require.True(s, was)
}

func removed(s *suite) {
	first, n := s.node("first").lead(), s.node("n")
	c := n.campaign(s.Context())
	s.remove(n)
	require.NoError(s, first.Resign())
	err := receive(s, c.failed, s.ttl+slack, "the campaign of a candidate that was removed must end")
	require.ErrorIs(s, err, election.ErrLost, "a candidate that was removed must get an error")
	require.Empty(s, c.won)
	_, err = n.Leader(s.Context())
	require.ErrorIs(s, err, election.ErrNoLeader)
}

func campaignsAgain(s *suite) {
	first, n := s.node("first").lead(), s.node("n")
	begun := terms()
	r := n.run(untilEnd(new(Shifts), begun))
	n.waits()
	s.remove(n)
	receive(s, n.queued, s.ttl+slack, "a run must campaign again")
	require.NoError(s, first.Resign())
	require.Greater(s, pushed(s, begun), first.Term())
	s.remove(n) // a leader this time
	receive(s, begun, 2*s.ttl+slack, "a run must lead again after its leadership was lost")
	r.stop(nil)
	require.ErrorIs(s, r.ends(s, s.ttl, "a run must end with its context"), context.Canceled)
}
