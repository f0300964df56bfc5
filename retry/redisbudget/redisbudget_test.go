package redisbudget

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/retry"
)

var good = retry.Bucket{Name: "a", Max: 10, PerSecond: 1}

func TestClientsThatCannotServe(t *testing.T) {
	var none *redis.Client
	for want, rdb := range map[string]redis.UniversalClient{
		"nil client":         nil,
		"nil client ":        none,
		"a redis.Ring keeps": redis.NewRing(&redis.RingOptions{}),
	} {
		p := New(rdb, nil)
		_, err := p.Take(t.Context(), good, 1)
		require.ErrorIs(t, err, retry.ErrInvalid)
		require.ErrorContains(t, err, `redisbudget: take from "a": retry: invalid: `+strings.TrimSpace(want))
		err = p.Give(t.Context(), good, 1)
		require.ErrorIs(t, err, retry.ErrInvalid)
		require.ErrorContains(t, err, `redisbudget: give to "a": retry: invalid: `+strings.TrimSpace(want))
	}
}

func TestBadInput(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Dialer: nil, Addr: "127.0.0.1:1"})
	defer rdb.Close()
	p := New(rdb, nil)
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
	ended, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	cancel(gone)
	_, err = p.Take(ended, good, 1)
	require.ErrorIs(t, err, gone)
}

func FuzzKeys(f *testing.F) {
	f.Add("a", "b")
	f.Add("{a}", "a")
	f.Add("a:b", "a%3Ab")
	p := New(redis.NewClient(&redis.Options{}), nil)
	f.Fuzz(func(t *testing.T, one, two string) {
		k1, k2 := p.key(one), p.key(two)
		if (k1 == k2) != (one == two) {
			t.Fatalf("%q and %q have the keys %q and %q", one, two, k1, k2)
		}
		if got, err := url.QueryUnescape(k1[len("concord:budget:{") : len(k1)-1]); err != nil || got != one {
			t.Fatalf("%q is kept as %q", one, k1)
		}
	})
}
