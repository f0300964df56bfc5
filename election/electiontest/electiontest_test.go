package electiontest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/election"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/memlock"
)

func TestConformance(t *testing.T) {
	Run(t, func(*testing.T) func() lock.Backend {
		b := memlock.New()
		return func() lock.Backend { return b }
	}, &Options{TTL: time.Minute, Bubble: synctest.Test})
}

// The control: leaders of elections that have nothing in common are found out.
func TestShiftsFindTwoLeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shifts Shifts
		s := newSuite(t, func(*testing.T) func() lock.Backend {
			return func() lock.Backend { return memlock.New() }
		}, time.Minute)
		begun := terms()
		s.node("a").run(untilEnd(&shifts, begun))
		<-begun
		require.NoError(t, shifts.Err())
		s.node("b").run(untilEnd(&shifts, begun))
		<-begun
		require.ErrorContains(t, shifts.Err(), "does")
	})
}

func TestShiftsFindTermsThatDoNotGrow(t *testing.T) {
	for _, next := range []election.Term{1, 2} {
		var shifts Shifts
		shifts.Begin(t.Context(), 2)()
		shifts.Begin(t.Context(), next)()
		require.ErrorContains(t, shifts.Err(), "after term 2")
	}
	var shifts Shifts
	shifts.Begin(t.Context(), 2)()
	shifts.Begin(t.Context(), 3)()
	require.NoError(t, shifts.Err())
	require.Equal(t, 2, shifts.Count())
}

// The control: a leader that resigns before its work has ended is found out.
func TestShiftsFindAnEarlyResignation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memlock.New()
		s := newSuite(t, func(*testing.T) func() lock.Backend { return func() lock.Backend { return b } }, time.Minute)
		var shifts Shifts
		l := s.node("a").lead()
		end := shifts.Begin(l.Context(), l.Term())
		begun := terms()
		n := s.node("b")
		n.run(untilEnd(&shifts, begun))
		n.waits()
		require.NoError(t, l.Resign())
		<-begun
		end()
		require.Error(t, shifts.Err(), "its context has ended, but not because of a loss")
	})
}
