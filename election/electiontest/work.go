package electiontest

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/election"
	"github.com/concordkit/concord/lock"
)

func cutOff(s *suite) {
	var shifts Shifts
	old, next := s.node("old"), s.node("next")
	first, second := terms(), terms()
	causes := make(chan error, 10)
	old.run(func(ctx context.Context, t election.Term) error {
		defer shifts.Begin(ctx, t)()
		first <- t
		<-ctx.Done()
		causes <- context.Cause(ctx)
		return errors.New("work that was cut short")
	})
	term := receive(s, first, s.ttl, "the only candidate must lead")
	r := next.run(untilEnd(&shifts, second))
	next.waits()
	old.link.set(true)
	require.ErrorIs(s, receive(s, causes, s.ttl, "work must end with its leadership"), election.ErrLost)
	require.Greater(s, receive(s, second, s.ttl+slack, "a leader that is cut off must be followed"), term)
	old.link.set(false)
	receive(s, old.queued, 2*s.ttl+slack, "a run must campaign again after its leadership was lost")
	r.stop(nil)
	require.ErrorIs(s, r.ends(s, s.ttl, "a run must end with its context"), context.Canceled)
	pushed(s, first)
	require.NoError(s, shifts.Err(), "work must end before another leader starts")
}

func kept(s *suite) {
	l := s.node("n").lead()
	c := s.node("other").campaign(s.Context())
	quiet(s, l.Context().Done(), s.ttl*5/2, "a leadership must be renewed")
	require.Empty(s, c.won)
	require.NoError(s, l.Resign())
	require.NoError(s, pushed(s, c.won).Resign())
}

func resignWaits(s *suite) {
	var shifts Shifts
	n, other := s.node("n"), s.node("other")
	first, second := terms(), terms()
	ended, finish := make(chan struct{}), make(chan struct{})
	failure := errors.New("half done")
	r := n.run(func(ctx context.Context, t election.Term) error {
		defer shifts.Begin(ctx, t)()
		first <- t
		<-ctx.Done()
		close(ended)
		<-finish
		return failure
	})
	receive(s, first, s.ttl, "the only candidate must lead")
	other.run(untilEnd(&shifts, second))
	other.waits()
	why := errors.New("shutdown")
	r.stop(why)
	pushed(s, ended)
	quiet(s, second, 2*s.ttl, "nobody may lead before the work has ended")
	require.NoError(s, shifts.Err())
	close(finish)
	pushed(s, second)
	err := r.ends(s, s.ttl, "a run must end when its function has returned")
	require.ErrorIs(s, err, context.Canceled)
	require.ErrorIs(s, err, why)
	require.ErrorIs(s, err, failure, "what else went wrong must be told")
	require.NoError(s, shifts.Err(), "work must end before another leader starts")
}

func turnOver(s *suite) {
	n, other := s.node("n"), s.node("other")
	begun, finish := terms(), make(chan struct{})
	n.run(func(ctx context.Context, t election.Term) error {
		begun <- t
		select {
		case <-finish:
		case <-ctx.Done():
		}
		return nil
	})
	term := receive(s, begun, s.ttl, "the only candidate must lead")
	c := other.campaign(s.Context())
	finish <- struct{}{}
	l := pushed(s, c.won)
	require.Greater(s, l.Term(), term)
	n.waits()
	require.NoError(s, l.Resign())
	require.Greater(s, pushed(s, begun), l.Term(), "a run must campaign again")
	finish <- struct{}{}
	receive(s, begun, s.ttl, "a run must lead again where nobody else wants to")
}

func functionFails(s *suite) {
	n := s.node("n")
	failure := errors.New("no disk")
	r := n.run(func(context.Context, election.Term) error { return failure })
	require.ErrorIs(s, r.ends(s, s.ttl, "a run must end with the error of its function"), failure)
	require.NoError(s, s.node("other").lead().Resign(), "a run that has ended must have resigned")
}

func functionPanics(s *suite) {
	n := s.node("n")
	require.PanicsWithValue(s, "ouch", func() {
		n.Run(s.Context(), func(context.Context, election.Term) error { panic("ouch") })
	})
	require.NoError(s, s.node("other").lead().Resign(), "a function that panics must resign")
	var calls atomic.Int32
	failure := errors.New("done")
	require.ErrorIs(s, n.Run(s.Context(), func(context.Context, election.Term) error { calls.Add(1); return failure }), failure)
	require.EqualValues(s, 1, calls.Load(), "an election can be used after a panic")
}

func runEnds(s *suite) {
	n := s.node("n")
	ctx, stop := context.WithTimeout(context.WithValue(s.Context(), key{}, "value"), s.ttl)
	defer stop()
	deadline, _ := ctx.Deadline()
	err := n.Run(ctx, func(ctx context.Context, _ election.Term) error {
		require.Equal(s, "value", ctx.Value(key{}), "work has the values of the context of Run")
		at, ok := ctx.Deadline()
		require.True(s, ok)
		require.True(s, at.Equal(deadline), "work has the deadline of the context of Run")
		<-ctx.Done()
		return ctx.Err()
	})
	require.ErrorIs(s, err, context.DeadlineExceeded)
	require.NoError(s, s.node("other").lead().Resign(), "a run that has ended must have resigned")
}

type key struct{}

func nobodyStarts(s *suite) {
	first, n := s.node("first").lead(), s.node("n")
	var calls atomic.Int32
	r := n.run(func(context.Context, election.Term) error { calls.Add(1); return nil })
	n.waits()
	r.stop(nil)
	require.ErrorIs(s, r.ends(s, s.ttl/4, "a candidate must leave at once"), context.Canceled)
	require.NoError(s, first.Resign())
	require.NoError(s, s.node("other").lead().Resign(), "a candidate that left must leave nothing")
	require.Zero(s, calls.Load(), "a candidate that does not lead must not start to work")
}

func overrun(s *suite) {
	late, over := make(chan election.Term, 10), make(chan struct{}, 10)
	n, other := s.nodeWith(&election.Options{ID: "n", Trace: &election.Trace{
		Overrun: func(_ context.Context, _ election.Candidate, t election.Term) func() {
			late <- t
			return func() { over <- struct{}{} }
		},
	}}), s.node("other")
	begun, second, finish := terms(), terms(), make(chan struct{})
	n.run(func(_ context.Context, t election.Term) error {
		begun <- t
		<-finish // whatever the context says
		return nil
	})
	s.Cleanup(func() { close(finish) })
	term := receive(s, begun, s.ttl, "the only candidate must lead")
	r := other.run(untilEnd(new(Shifts), second))
	other.waits()
	n.link.set(true)
	require.Greater(s, receive(s, second, 2*s.ttl+slack, "others must lead when the TTL is over"), term)
	require.Equal(s, term, receive(s, late, s.ttl, "work that goes on must be reported"))
	n.link.set(false)
	r.stop(nil)
	require.ErrorIs(s, r.ends(s, s.ttl, "a run must end with its context"), context.Canceled)
	quiet(s, begun, s.ttl, "work must not be joined by more of it")
	require.ErrorIs(s, n.Run(s.Context(), func(context.Context, election.Term) error { return nil }), election.ErrInvalid)
	require.Empty(s, over)
	finish <- struct{}{}
	receive(s, over, s.ttl, "the end of work that went on must be reported")
	receive(s, begun, s.ttl, "a run must lead again when the old work has ended")
	require.Empty(s, late)
}

func closeEnds(s *suite) {
	n, other := s.node("n"), s.node("other")
	begun := terms()
	r := n.run(untilEnd(new(Shifts), begun))
	receive(s, begun, s.ttl, "the only candidate must lead")
	waiting := other.run(func(context.Context, election.Term) error { return nil })
	other.waits()
	require.NoError(s, other.locks.Close(s.Context()))
	require.ErrorIs(s, waiting.ends(s, s.ttl, "closing the Locker must end a run"), lock.ErrClosed)
	require.NoError(s, n.locks.Close(s.Context()))
	require.ErrorIs(s, r.ends(s, s.ttl, "closing the Locker must end a run"), lock.ErrClosed)
	_, err := n.Leader(s.Context())
	require.ErrorIs(s, err, lock.ErrClosed)
	require.NoError(s, s.node("last").lead().Resign(), "closing the Locker must resign")
}
