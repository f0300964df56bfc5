package election_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/election"
	"github.com/concordkit/concord/lock"
)

// scripted returns an election on an engine whose watch shows each set in turn, a second apart, and then no more.
func scripted(t *testing.T, sets ...[]lock.Holder) (*election.Election, *lock.Locker) {
	b := newFaulty()
	b.watch = func(ctx context.Context, emit func([]lock.Holder)) error {
		for _, hs := range sets {
			emit(hs)
			time.Sleep(time.Second)
		}
		<-ctx.Done()
		return ctx.Err()
	}
	locks := lock.New(b, &lock.Options{TTL: time.Minute})
	return election.New(locks, "e", nil), locks
}

func holds(value string, t lock.Token) lock.Holder {
	return lock.Holder{Token: t, Value: []byte(value)}
}

func TestWatchDoesNotGoBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		member := lock.Holder{Name: "member", Token: 99, Value: []byte("m")}
		e, locks := scripted(t,
			[]lock.Holder{holds("a", 3)},
			[]lock.Holder{holds("b", 2)},          // a replica that lags
			[]lock.Holder{holds("a", 3), member},  // nothing new
			nil,                                   // nobody
			[]lock.Holder{holds("a", 2)},          // a replica that lags
			[]lock.Holder{holds("z\x00id=c", 5)},  // the next one
			[]lock.Holder{holds("zz\x00id=c", 5)}, // a new value
			[]lock.Holder{holds("a", 3)},
			[]lock.Holder{holds("b", 2), holds("d", 7), member}, // two where an engine forgets: the newest
		)
		w, err := e.Watch(t.Context())
		require.NoError(t, err)
		ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
		defer stop()
		var seen []election.Leader
		for leader, err := range w.All(ctx) {
			if err != nil {
				require.ErrorIs(t, err, context.DeadlineExceeded)
				break
			}
			seen = append(seen, leader)
			require.Equal(t, leader, w.Leader())
		}
		require.Equal(t, []election.Leader{
			{ID: "a", Value: "a", Term: 3}, {}, {ID: "c", Value: "z", Term: 5}, {ID: "c", Value: "zz", Term: 5},
			{ID: "d", Value: "d", Term: 7},
		}, seen)
		require.NoError(t, locks.Close(t.Context()))
		require.Equal(t, election.Term(7), w.Leader().Term, "what was known last stays")
	})
}

func TestWatchShowsTheLeaderToALateLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, locks := scripted(t, []lock.Holder{holds("a", 3)}, []lock.Holder{holds("b", 2)})
		w, err := e.Watch(t.Context())
		require.NoError(t, err)
		require.Equal(t, "a", w.Leader().ID)
		time.Sleep(2 * time.Second)
		for leader := range w.All(t.Context()) {
			require.Equal(t, "a", leader.ID)
			break
		}
		require.NoError(t, locks.Close(t.Context()))
	})
}

func TestBlindWatchEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, locks := scripted(t, nil)
		w, err := e.Watch(t.Context())
		require.NoError(t, err)
		start := time.Now()
		for _, err = range w.All(t.Context()) {
		}
		require.ErrorIs(t, err, lock.ErrBlind)
		require.Equal(t, time.Minute, time.Since(start))
		require.NoError(t, locks.Close(t.Context()))
	})
}
