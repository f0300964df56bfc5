package natsbudget

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/retry"
)

var good = retry.Bucket{Name: "a", Max: 10, PerSecond: 1}

// silent is a key-value bucket that a test must not reach.
type silent struct{ jetstream.KeyValue }

func TestBucketsAndPrefixesThatCannotServe(t *testing.T) {
	var none *silent
	for want, p := range map[string]*Pool{
		"nil KeyValue":  New(nil, nil),
		"nil KeyValue ": New(none, nil),
		`Prefix "a b": want letters, digits, -, _, =, / and inner dots`: New(silent{}, &Options{Prefix: "a b"}),
		`Prefix ".a": want`:     New(silent{}, &Options{Prefix: ".a"}),
		`Prefix "a..b": want`:   New(silent{}, &Options{Prefix: "a..b"}),
		`Prefix "ü": want`:      New(silent{}, &Options{Prefix: "ü"}),
		`Prefix "xxxxxxxxxxxxx`: New(silent{}, &Options{Prefix: strings.Repeat("x", 129)}),
	} {
		_, err := p.Take(t.Context(), good, 1)
		require.ErrorIs(t, err, retry.ErrInvalid)
		require.ErrorContains(t, err, `natsbudget: take from "a": retry: invalid: `+strings.TrimSpace(want))
		err = p.Give(t.Context(), good, 1)
		require.ErrorIs(t, err, retry.ErrInvalid)
		require.ErrorContains(t, err, `natsbudget: give to "a": retry: invalid: `+strings.TrimSpace(want))
	}
}

func TestBadInput(t *testing.T) {
	p := New(silent{}, &Options{Prefix: "a.b/c=1-2_3."})
	for want, b := range map[string]retry.Bucket{
		`Name "": want 1 to 256 bytes of UTF-8`: {Max: 1},
		`Name "\xff": want`:                     {Name: "\xff", Max: 1},
		`Name "xxxxxxxxxxxxxxxxxxxx`:            {Name: strings.Repeat("x", 257), Max: 1},
		"Max 0: want 1 to 1000000":              {Name: "a"},
		"Max 1000001: want":                     {Name: "a", Max: 1_000_001},
		"PerSecond -1: want 0 to 1000000":       {Name: "a", Max: 1, PerSecond: -1},
		"PerSecond 1000001: want":               {Name: "a", Max: 1, PerSecond: 1_000_001},
	} {
		_, err := p.Take(t.Context(), b, 1)
		require.ErrorIs(t, err, retry.ErrInvalid)
		require.ErrorContains(t, err, want)
		err = p.Give(t.Context(), b, 1)
		require.ErrorIs(t, err, retry.ErrInvalid)
		require.ErrorContains(t, err, want)
	}
	_, err := p.Take(t.Context(), good, 0)
	require.ErrorContains(t, err, "retry: invalid: 0 tokens: want 1 or more")
	require.ErrorContains(t, p.Give(t.Context(), good, -1), "retry: invalid: -1 tokens: want 1 or more")
	//lint:ignore SA1012 a nil context is what is tested
	_, err = p.Take(nil, good, 1)
	require.ErrorContains(t, err, "retry: invalid: nil context")
	gone := errors.New("gone")
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	_, err = p.Take(ended, good, 1)
	require.ErrorIs(t, err, gone)
}

func TestLevelFillsByTheTimeOfMessages(t *testing.T) {
	b := retry.Bucket{Name: "a", Max: 10, PerSecond: 4}
	start := time.Unix(1_700_000_000, 0)
	l := full(b)
	require.Equal(t, 7, l.take(7))
	l.fill(b, start) // stored then: nothing has come
	require.Equal(t, int64(3)*token, l.tokens)
	l.fill(b, start.Add(625*time.Millisecond))
	require.Equal(t, int64(5)*token+token/2, l.tokens)
	l.fill(b, start.Add(500*time.Millisecond)) // a clock that steps back
	require.Equal(t, int64(5)*token+token/2, l.tokens)
	l.fill(b, start.Add(750*time.Millisecond))
	require.Equal(t, int64(6)*token+token/2, l.tokens, "it fills from where the clock is")
	l.fill(b, start.Add(290*365*24*time.Hour))
	require.Equal(t, int64(10)*token, l.tokens)
	l.give(b, 1<<62)
	require.Equal(t, int64(10)*token, l.tokens)
	b.PerSecond = 0
	require.Equal(t, 10, l.take(11))
	l.fill(b, start.Add(291*365*24*time.Hour))
	require.Zero(t, l.tokens)
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("1 2"), int64(3), 1000)
	f.Add([]byte("9223372036854775807 9223372036854775807"), int64(-1), 1_000_000)
	f.Add([]byte("-1 0"), int64(0), 0)
	f.Fuzz(func(t *testing.T, value []byte, now int64, rate int) {
		l, err := parse(value)
		if err != nil {
			return
		}
		if again, err := parse([]byte(l.String())); err != nil || again != l {
			t.Fatalf("%q is read as %v, and that as %v, %v", value, l, again, err)
		}
		b := retry.Bucket{Max: 1_000_000, PerSecond: min(max(0, rate), maxTokens)}
		l.fill(b, time.Unix(0, now))
		if l.tokens < 0 || l.tokens > int64(b.Max)*token {
			t.Fatalf("%q fills to %d", value, l.tokens)
		}
	})
}

func FuzzKeys(f *testing.F) {
	f.Add("a", "b")
	f.Add("=2E", ".")
	f.Add("ü", "\x00")
	p := New(silent{}, nil)
	f.Fuzz(func(t *testing.T, one, two string) {
		k1, k2 := p.key(one), p.key(two)
		if (k1 == k2) != (one == two) {
			t.Fatalf("%q and %q have the keys %q and %q", one, two, k1, k2)
		}
		if strings.ContainsFunc(strings.TrimPrefix(k1, "budget."), func(r rune) bool { return r != '=' && (r > 127 || !plain(byte(r))) }) {
			t.Fatalf("%q is kept as %q", one, k1)
		}
	})
}

func TestOnlyCertainRefusalsAreRepeated(t *testing.T) {
	for _, err := range []error{
		jetstream.ErrKeyExists, jetstream.ErrKeyRevisionMismatch,
		&jetstream.APIError{ErrorCode: 10071}, &jetstream.APIError{ErrorCode: 10163}, fmt.Errorf("nats: %w", &jetstream.APIError{ErrorCode: 10164}),
	} {
		require.True(t, refused(err), "%v", err)
	}
	for _, err := range []error{nil, context.DeadlineExceeded, &jetstream.APIError{ErrorCode: 10077}, jetstream.ErrNoStreamResponse} {
		require.False(t, refused(err), "%v", err)
	}
}

// crowded is a key-value bucket in which another one is always first.
type crowded struct {
	jetstream.KeyValue
	writes *int
}

func (crowded) Get(context.Context, string) (jetstream.KeyValueEntry, error) {
	return nil, jetstream.ErrKeyNotFound
}

func (c crowded) Create(context.Context, string, []byte, ...jetstream.KVCreateOpt) (uint64, error) {
	*c.writes++
	return 0, jetstream.ErrKeyExists
}

func TestCrowdsAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		writes := 0
		p := New(crowded{writes: &writes}, nil)
		p.settled.Store(true)
		start := time.Now()
		_, err := p.Take(t.Context(), good, 1)
		require.ErrorIs(t, err, ErrContended)
		require.Equal(t, maxTries, writes)
		require.Less(t, time.Since(start), maxTries*maxPause)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, p.Give(ctx, good, 1), context.DeadlineExceeded)
	})
}
