package election_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/election"
	"github.com/concordkit/concord/lock"
)

const ttl = 3 * time.Second

// bubble runs f with a Locker over a faulty backend on virtual time, and closes the Locker.
func bubble(t *testing.T, f func(t *testing.T, b *faulty, locks *lock.Locker)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newFaulty()
		locks := lock.New(b, &lock.Options{TTL: ttl})
		f(t, b, locks)
		require.NoError(t, locks.Close(context.WithoutCancel(t.Context())))
	})
}

func TestPausesGrowWhileCampaignsFail(t *testing.T) {
	bubble(t, func(t *testing.T, b *faulty, locks *lock.Locker) {
		var at []time.Time
		b.acquire = func(lock.Claim) error {
			if at = append(at, time.Now()); len(at)%10 == 0 {
				return nil
			}
			return errFake
		}
		e := election.New(locks, "e", &election.Options{ID: "n"})
		turns := 0
		err := e.Run(t.Context(), func(context.Context, election.Term) error {
			if turns++; turns == 2 {
				return errFake
			}
			return nil
		})
		require.ErrorIs(t, err, errFake)
		require.Len(t, at, 20)
		for i, most := 1, 100*time.Millisecond; i < 20; i++ {
			pause := at[i].Sub(at[i-1])
			require.GreaterOrEqual(t, pause, most/2)
			require.Less(t, pause, most)
			if most = min(2*most, 2*time.Second); i == 9 { // the one that has won begins again
				most = 100 * time.Millisecond
			}
		}
	})
}

func TestPausesAreRandom(t *testing.T) {
	bubble(t, func(t *testing.T, _ *faulty, locks *lock.Locker) {
		pauses := map[time.Duration]bool{}
		var last time.Time
		turns := 0
		e := election.New(locks, "e", &election.Options{ID: "n"})
		err := e.Run(t.Context(), func(context.Context, election.Term) error {
			if !last.IsZero() {
				pauses[time.Since(last)] = true
			}
			last = time.Now()
			if turns++; turns == 100 {
				return errFake
			}
			return nil
		})
		require.ErrorIs(t, err, errFake)
		require.Greater(t, len(pauses), 10)
	})
}

func TestErrorsThatEndARun(t *testing.T) {
	for _, final := range []error{lock.ErrInvalid, lock.ErrClosed, lock.ErrCorrupt} {
		bubble(t, func(t *testing.T, b *faulty, locks *lock.Locker) {
			b.acquire = func(lock.Claim) error { return fmt.Errorf("backend: %w", final) }
			e := election.New(locks, "e", &election.Options{ID: "n"})
			require.ErrorIs(t, e.Run(t.Context(), nothing), final)
		})
	}
}

func TestRunEndsWhileItPauses(t *testing.T) {
	bubble(t, func(t *testing.T, b *faulty, locks *lock.Locker) {
		b.acquire = func(lock.Claim) error { return errFake }
		ctx, stop := context.WithTimeout(t.Context(), time.Minute+time.Millisecond)
		defer stop()
		start := time.Now()
		err := election.New(locks, "e", &election.Options{ID: "n"}).Run(ctx, nothing)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Minute+time.Millisecond, time.Since(start))
	})
}

// At shutdown a candidate may win that nobody wants any more.
func TestNobodyStartsAtTheInstantOfShutdown(t *testing.T) {
	bubble(t, func(t *testing.T, _ *faulty, locks *lock.Locker) {
		ctx, shutdown := context.WithCancel(t.Context())
		e := election.New(locks, "e", &election.Options{ID: "n", Trace: &election.Trace{
			Lead: func(context.Context, election.Candidate, election.Term) func(error) {
				shutdown()
				return func(error) {}
			},
		}})
		err := e.Run(ctx, func(context.Context, election.Term) error { return errors.New("started") })
		require.ErrorIs(t, err, context.Canceled)
		require.NotContains(t, err.Error(), "started")
		_, err = e.Leader(t.Context())
		require.ErrorIs(t, err, election.ErrNoLeader, "it must have resigned")
	})
}

func TestWhatRunReturnsAtShutdown(t *testing.T) {
	own, why := errors.New("half done"), errors.New("shutdown")
	for _, c := range []struct {
		name     string
		returns  func(context.Context) error
		contains []error
		text     string
	}{
		{"nil", func(context.Context) error { return nil }, nil, `election: run of "n" in "e": context canceled: shutdown`},
		{"its error", context.Context.Err, nil, `election: run of "n" in "e": context canceled: shutdown`},
		{"its cause", context.Cause, nil, `election: run of "n" in "e": context canceled: shutdown`},
		{
			"its error, wrapped", func(ctx context.Context) error { return fmt.Errorf("step 2: %w", ctx.Err()) }, nil,
			`election: run of "n" in "e": context canceled: shutdown`,
		},
		{"another error", func(context.Context) error { return own }, []error{own}, "half done"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, _ *faulty, locks *lock.Locker) {
				ctx, stop := context.WithCancelCause(t.Context())
				err := election.New(locks, "e", &election.Options{ID: "n"}).Run(ctx, func(ctx context.Context, _ election.Term) error {
					stop(why)
					<-ctx.Done()
					require.Equal(t, why, context.Cause(ctx), "work learns why it has to end")
					return c.returns(ctx)
				})
				for _, want := range append(c.contains, context.Canceled, why) {
					require.ErrorIs(t, err, want)
				}
				require.ErrorContains(t, err, c.text)
			})
		})
	}
}

// Work hears of the end by its deadline and by the loss, whichever comes first, and derived contexts do at once.
func TestContextOfWork(t *testing.T) {
	bubble(t, func(t *testing.T, b *faulty, locks *lock.Locker) {
		type key struct{}
		ctx, stop := context.WithCancel(context.WithValue(t.Context(), key{}, "caller"))
		defer stop()
		e := election.New(locks, "e", &election.Options{ID: "n", Trace: &election.Trace{
			Campaign: func(ctx context.Context, _ election.Candidate) (context.Context, func(error)) {
				return context.WithValue(ctx, key{}, "campaign"), func(error) {}
			},
		}})
		b.acquire = func(lock.Claim) error { b.set(func() { b.renew = func() error { return errFake } }); return nil }
		start := time.Now()
		turns := 0
		err := e.Run(ctx, func(ctx context.Context, _ election.Term) error {
			require.Equal(t, "caller", ctx.Value(key{}), "what a hook adds is for the campaign")
			derived, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			if turns++; turns == 2 {
				stop()
				<-derived.Done()
				require.ErrorIs(t, context.Cause(derived), context.Canceled)
				return ctx.Err()
			}
			<-derived.Done()
			require.Equal(t, ttl-ttl/50, time.Since(start))
			require.ErrorIs(t, context.Cause(derived), election.ErrLost)
			require.ErrorIs(t, context.Cause(ctx), election.ErrLost)
			return errFake
		})
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, errFake)
	})
}

// The link may be good enough to let the next one in at once. Work has the margin to end in all the same.
func TestWorkHasTheMarginToEnd(t *testing.T) {
	bubble(t, func(t *testing.T, b *faulty, locks *lock.Locker) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		began := make(chan time.Time)
		var lost time.Time
		other := lock.New(b.Backend, nil)
		require.ErrorIs(t, election.New(locks, "e", &election.Options{ID: "n"}).Run(ctx, func(ctx context.Context, _ election.Term) error {
			b.set(func() { b.renew = func() error { return errFake } })
			go func() {
				l, err := election.New(other, "e", &election.Options{ID: "m"}).Campaign(t.Context())
				if err == nil {
					began <- time.Now()
					l.Resign()
				}
			}()
			<-ctx.Done()
			lost = time.Now()
			require.Equal(t, ttl/50, (<-began).Sub(lost))
			stop()
			return nil
		}), context.Canceled)
		require.NoError(t, other.Close(t.Context()))
	})
}

// What is reported is that another leader may have started, so work that ends in time is not.
func TestOverrunIsReportedWhenOthersMayLead(t *testing.T) {
	for _, c := range []struct {
		late    time.Duration
		reports int
	}{{ttl/50 - 1, 0}, {ttl/50 + 1, 1}, {time.Hour, 1}} {
		bubble(t, func(t *testing.T, b *faulty, locks *lock.Locker) {
			ctx, stop := context.WithCancel(t.Context())
			var began, over []time.Time
			e := election.New(locks, "e", &election.Options{ID: "n", Trace: &election.Trace{
				Overrun: func(context.Context, election.Candidate, election.Term) func() {
					began = append(began, time.Now())
					return func() { over = append(over, time.Now()) }
				},
			}})
			var lost time.Time
			require.ErrorIs(t, e.Run(ctx, func(ctx context.Context, _ election.Term) error {
				b.set(func() { b.renew = func() error { return errFake } })
				<-ctx.Done()
				lost = time.Now()
				time.Sleep(c.late)
				stop()
				return nil
			}), context.Canceled)
			require.Len(t, began, c.reports)
			require.Len(t, over, c.reports)
			if c.reports > 0 {
				require.Equal(t, ttl/50, began[0].Sub(lost))
				require.Equal(t, c.late, over[0].Sub(lost))
			}
		})
	}
}
