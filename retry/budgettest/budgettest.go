// Package budgettest is the conformance suite of shared retry budgets: every promise of [retry.Pool], and of a
// [retry.SharedBudget] on top of it, has a case.
//
//	func TestConformance(t *testing.T) {
//		budgettest.Run(t, func(t *testing.T) func() retry.Pool {
//			return func() retry.Pool { return redisbudget.New(newClient(t), nil) }
//		}, nil)
//	}
package budgettest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/retry"
)

// Options configure [Run]. A nil *Options means the defaults.
type Options struct {
	// Bubble wraps each case: [testing/synctest.Test] for a pool without I/O, so that no time passes. Nil runs cases as
	// they are, in parallel.
	Bubble func(*testing.T, func(*testing.T))
}

// Run checks every promise of [retry.Pool]. Each case calls newStore once, and what that returns once for every process
// that the case simulates: the Pools of one store share their buckets, as clients of one server do. Names are random, so
// that all stores may be one server.
func Run(t *testing.T, newStore func(t *testing.T) (connect func() retry.Pool), o *Options) {
	if o == nil {
		o = new(Options)
	}
	for _, c := range cases {
		t.Run(c.promise, func(t *testing.T) {
			if o.Bubble == nil {
				t.Parallel()
				require.NoError(t, c.check(t.Context(), newStore(t)))
				return
			}
			o.Bubble(t, func(t *testing.T) { require.NoError(t, c.check(t.Context(), newStore(t))) })
		})
	}
}

// Check runs all cases against one store, one after the other, and returns what is broken, or nil. It is for those who test
// without a testing.T, and for tests that show that the suite finds something.
func Check(ctx context.Context, connect func() retry.Pool) error {
	var broken []error
	for _, c := range cases {
		if err := c.check(ctx, connect); err != nil {
			broken = append(broken, fmt.Errorf("budgettest: %s: %w", c.promise, err))
		}
	}
	return errors.Join(broken...)
}

type testCase struct {
	promise string
	check   func(ctx context.Context, connect func() retry.Pool) error
}

var cases = []testCase{
	{"a new bucket is full", newBucketIsFull},
	{"no more is taken than there is", noMoreThanThereIs},
	{"buckets are told apart", bucketsApart},
	{"what is given back is there again", givenBack},
	{"a bucket never holds more than its size", neverAboveMax},
	{"a bucket fills with time", fillsWithTime},
	{"a bucket without a rate does not fill", withoutRate},
	{"processes together take what there is", takenTogether},
	{"an ended context takes nothing", endedContext},
	{"shared budgets never overspend", sharedNeverOverspend},
	{"one busy process gets an idle pool", busyGetsIdle},
	{"a close gives back", closeGivesBack},
	{"what a dead process holds is lost", deadIsLost},
}

// bucket returns one that nobody else uses.
func bucket(size, perSecond int) retry.Bucket {
	return retry.Bucket{Name: "test " + rand.Text(), Max: size, PerSecond: perSecond}
}

// take expects to get want of n.
func take(ctx context.Context, p retry.Pool, b retry.Bucket, n, want int) error {
	got, err := p.Take(ctx, b, n)
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("take of %d got %d, want %d", n, got, want)
	}
	return nil
}
