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
	"github.com/concordkit/concord/lock/memlock"
)

// What goes wrong while a context ends is told with that, not in its place and not left out.
func TestErrorsAtTheEnd(t *testing.T) {
	disk := errors.New("disk full")
	for name, fail := range map[string]func(ctx context.Context) error{
		"joined":   func(ctx context.Context) error { return errors.Join(ctx.Err(), disk) },
		"wrapped":  func(ctx context.Context) error { return fmt.Errorf("flush: %w (%w)", disk, ctx.Err()) },
		"deadline": func(context.Context) error { return fmt.Errorf("%w: %w", disk, context.DeadlineExceeded) },
	} {
		synctest.Test(t, func(t *testing.T) {
			locks := lock.New(memlock.New(), nil)
			defer locks.Close(context.Background())
			ctx, cancel := context.WithCancel(t.Context())
			err := election.New(locks, "e", &election.Options{ID: "n"}).Run(ctx, func(ctx context.Context, _ election.Term) error {
				cancel()
				<-ctx.Done()
				return fail(ctx)
			})
			require.ErrorIs(t, err, disk, name)
			require.ErrorIs(t, err, context.Canceled, name)
		})
	}
}

// A hook that gives back a context of its own adds values; the campaign ends with the caller's all the same.
func TestHookContextAddsValuesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		locks := lock.New(memlock.New(), nil)
		defer locks.Close(context.Background())
		held, err := locks.Claim(t.Context(), lock.Claim{Dir: "e"})
		require.NoError(t, err)
		defer held.Release()
		e := election.New(locks, "e", &election.Options{ID: "n", Trace: &election.Trace{
			Campaign: func(context.Context, election.Candidate) (context.Context, func(error)) {
				return context.Background(), func(error) {}
			},
		}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = e.Campaign(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// A campaign that fails as the context ends is told as that end.
func TestCampaignThatFailsAtTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T, b *faulty, locks *lock.Locker) {
		ctx, cancel := context.WithCancel(t.Context())
		b.set(func() { b.acquire = func(lock.Claim) error { cancel(); return errFake } })
		err := election.New(locks, "e", &election.Options{ID: "n"}).Run(ctx, func(context.Context, election.Term) error { return nil })
		require.ErrorIs(t, err, context.Canceled)
	})
}
