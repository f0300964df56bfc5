package electiontest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/election"
	"github.com/concordkit/concord/lock"
)

func leadershipTells(s *suite) {
	n := s.node("n")
	l, err := n.Campaign(context.WithValue(s.Context(), key{}, "value"))
	require.NoError(s, err)
	require.Positive(s, l.Term())
	require.NoError(s, l.Context().Err())
	require.Equal(s, "value", l.Context().Value(key{}), "work has the values of the context of the campaign")
	derived, stop := context.WithCancel(l.Context())
	defer stop()
	require.NoError(s, l.Resign())
	require.NoError(s, l.Resign(), "resigning again must say the same")
	require.ErrorIs(s, context.Cause(l.Context()), election.ErrResigned)
	require.ErrorIs(s, context.Cause(derived), election.ErrResigned)

	l = n.lead()
	s.remove(n)
	receive(s, l.Context().Done(), s.ttl+slack, "a leadership that is gone must end")
	require.ErrorIs(s, context.Cause(l.Context()), election.ErrLost)
	require.ErrorIs(s, l.Resign(), election.ErrLost)
	require.ErrorIs(s, l.SetValue(s.Context(), "v"), election.ErrLost)
}

func othersSee(s *suite) {
	observer := s.nodeWith(nil)
	_, err := observer.Leader(s.Context())
	require.ErrorIs(s, err, election.ErrNoLeader)
	n := s.nodeWith(&election.Options{ID: "node-1", Value: "10.0.0.1:8000"})
	l := n.lead()
	waiting := s.node("waiting").campaign(s.Context())
	leader, err := observer.Leader(s.Context())
	require.NoError(s, err)
	require.Equal(s, election.Leader{ID: "node-1", Value: "10.0.0.1:8000", Term: l.Term()}, leader)
	require.NoError(s, l.Resign())
	next := pushed(s, waiting.won)
	leader, err = observer.Leader(s.Context())
	require.NoError(s, err)
	require.Equal(s, election.Leader{ID: "waiting", Value: "waiting", Term: next.Term()}, leader, "the value defaults to the ID")
	require.NoError(s, next.Resign())
	_, err = observer.Leader(s.Context())
	require.ErrorIs(s, err, election.ErrNoLeader)
	_, err = observer.Campaign(s.Context())
	require.ErrorIs(s, err, election.ErrInvalid, "a candidate must have an ID")
}

func valuesShown(s *suite) {
	info, err := s.connect().Info(s.Context())
	require.NoError(s, err)
	const id, more = "node-1", 4
	most := strings.Repeat("v", info.MaxValue-len(id)-more)
	_, err = s.nodeWith(&election.Options{ID: id, Value: most + "v"}).Campaign(s.Context())
	require.ErrorIs(s, err, election.ErrInvalid, "a value over the limit must be refused")
	n := s.nodeWith(&election.Options{ID: id, Value: most})
	require.ErrorIs(s, s.nodeWith(&election.Options{ID: id, Value: most + "v"}).Run(s.Context(), nothing), election.ErrInvalid)
	l := n.lead()
	shows := func(value string) {
		s.Helper()
		leader, err := n.Leader(s.Context())
		require.NoError(s, err)
		require.Equal(s, election.Leader{ID: id, Value: value, Term: l.Term()}, leader)
	}
	shows(most)
	require.ErrorIs(s, l.SetValue(s.Context(), most+"v"), election.ErrInvalid)
	for _, v := range []string{"ready", "\x00\xff ünï\n", "x\x00id=other"} {
		require.NoError(s, l.SetValue(s.Context(), v))
		shows(v)
	}
	require.NoError(s, l.SetValue(s.Context(), ""))
	shows(id)
	time.Sleep(s.ttl) // renewals leave it as it is
	shows(id)
	require.NoError(s, l.Resign())
	require.ErrorIs(s, l.SetValue(s.Context(), "late"), election.ErrResigned)
}

func nothing(context.Context, election.Term) error { return nil }

// follow reads a watch until the case ends.
func (s *suite) follow(w *election.Watch) <-chan election.Leader {
	ctx, stop := context.WithCancel(s.Context())
	seen, done := make(chan election.Leader, 1000), make(chan struct{})
	s.Cleanup(func() { stop(); <-done })
	go func() {
		defer close(done)
		for leader, err := range w.All(ctx) {
			if err != nil {
				return
			}
			seen <- leader
		}
	}()
	return seen
}

// until waits for the leader that is wanted; those who were replaced at once may be skipped.
func (s *suite) until(seen <-chan election.Leader, want election.Leader, newest *election.Term) {
	s.Helper()
	for {
		got := receive(s, seen, s.ttl/2, fmt.Sprintf("a watch must show the last change, %v", want))
		if got.Term != 0 {
			require.GreaterOrEqual(s, got.Term, *newest, "a watch must not go back to an older term")
			*newest = got.Term
		}
		if got == want {
			return
		}
	}
}

func watchShows(s *suite) {
	w, err := s.nodeWith(nil).Watch(s.Context())
	require.NoError(s, err)
	require.Zero(s, w.Leader(), "a watch must know at once that nobody leads")
	seen, newest := s.follow(w), election.Term(0)
	s.until(seen, election.Leader{}, &newest)
	a, b := s.nodeWith(&election.Options{ID: "a", Value: "addr-a"}), s.node("b")
	for range 5 {
		l := a.lead()
		s.until(seen, election.Leader{ID: "a", Value: "addr-a", Term: l.Term()}, &newest)
		next := b.campaign(s.Context())
		require.NoError(s, l.SetValue(s.Context(), "addr-2"))
		s.until(seen, election.Leader{ID: "a", Value: "addr-2", Term: l.Term()}, &newest)
		require.NoError(s, l.Resign())
		l = pushed(s, next.won)
		s.until(seen, election.Leader{ID: "b", Value: "b", Term: l.Term()}, &newest)
		require.Equal(s, l.Term(), w.Leader().Term)
		require.NoError(s, l.Resign())
		s.until(seen, election.Leader{}, &newest)
	}
	member, err := a.locks.Claim(s.Context(), lock.Claim{Dir: s.name, Name: "member"})
	require.NoError(s, err)
	require.NoError(s, member.Release())
	quiet(s, seen, s.ttl/4, "what is not the leader must not be shown")
}

func watchEnds(s *suite) {
	n := s.nodeWith(nil)
	ctx, stop := context.WithCancelCause(s.Context())
	w, err := n.Watch(ctx)
	require.NoError(s, err)
	loop, stopLoop := context.WithCancel(s.Context())
	stopLoop()
	require.ErrorIs(s, lastError(w, loop), context.Canceled, "a loop must end with its own context")
	why := errors.New("enough")
	stop(why)
	require.ErrorIs(s, lastError(w, s.Context()), why, "a watch must end with the cause of its context")
	_, err = n.Watch(ctx)
	require.ErrorIs(s, err, context.Canceled)
}

// lastError runs a loop to its end.
func lastError(w *election.Watch, ctx context.Context) (last error) {
	for _, err := range w.All(ctx) {
		last = err
	}
	return last
}
