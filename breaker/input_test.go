package breaker_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/breaker"
)

func TestBadOptions(t *testing.T) {
	for want, o := range map[string]breaker.Options{
		"Rules.Window -1ns: want 100ms to 1h0m0s":                                                {Rules: breaker.Rules{Window: -1}},
		"Rules.Window 1h0m0.000000001s: want 100ms to 1h0m0s":                                    {Rules: breaker.Rules{Window: time.Hour + 1}},
		"Rules.FailureRate NaN: want more than 0, at most 1, or negative for off":                {Rules: breaker.Rules{FailureRate: math.NaN()}},
		"Rules.FailureRate +Inf: want more than 0, at most 1, or negative for off":               {Rules: breaker.Rules{FailureRate: math.Inf(1)}},
		"Rules.FailureRate -Inf: want more than 0, at most 1, or negative for off":               {Rules: breaker.Rules{FailureRate: math.Inf(-1)}},
		"Rules.FailureRate 1.0000000000000002: want more than 0, at most 1, or negative for off": {Rules: breaker.Rules{FailureRate: math.Nextafter(1, 2)}},
		"Rules.SlowRate 50: want more than 0, at most 1, or negative for off":                    {Rules: breaker.Rules{SlowRate: 50}},
		"Rules.MinCalls -1: want 1 to 1000000000":                                                {Rules: breaker.Rules{MinCalls: -1}},
		"Rules.Consecutive 1000000001: want 0 to 1000000000":                                     {Rules: breaker.Rules{Consecutive: 1e9 + 1}},
		"Rules.InFlight 1000000001: want 0 to 1000000000":                                        {Rules: breaker.Rules{InFlight: 1e9 + 1}},
		"Rules.SlowAfter 2562047h47m16.854775807s: want 0s to 24h0m0s":                           {Rules: breaker.Rules{SlowAfter: math.MaxInt64}},
		"OpenFor -5s: want 1ms to 24h0m0s":                                                       {OpenFor: -5 * time.Second},
		"OpenFor 2562047h47m16.854775807s: want 1ms to 24h0m0s":                                  {OpenFor: math.MaxInt64},
		"MaxOpenFor 1s: want 5s to 24h0m0s":                                                      {MaxOpenFor: time.Second},
		"MaxOpenFor -2562047h47m16.854775808s: want 5s to 24h0m0s":                               {MaxOpenFor: math.MinInt64},
		"Jitter NaN: want more than 0, at most 1, or negative for off":                           {Jitter: math.NaN()},
		"Probes -1: want 1 to 1000000":                                                           {Probes: -1},
		"Probes 1000001: want 1 to 1000000":                                                      {Probes: 1e6 + 1},
		"ProbeTimeout 1µs: want 1ms to 24h0m0s":                                                  {ProbeTimeout: time.Microsecond},
	} {
		_, err := breaker.New("a", &o)
		require.ErrorIs(t, err, breaker.ErrInvalid)
		require.EqualError(t, err, "breaker: invalid: "+want)
		_, err = breaker.NewSet(&breaker.SetOptions{Breaker: o})
		require.EqualError(t, err, "breaker: invalid: "+want)
	}
	for _, idle := range []time.Duration{1, math.MaxInt64} {
		_, err := breaker.NewSet(&breaker.SetOptions{Idle: idle})
		require.ErrorIs(t, err, breaker.ErrInvalid)
	}
}

// The extremes that are allowed work.
func TestExtremes(t *testing.T) {
	for name, o := range map[string]breaker.Options{
		"long":     {OpenFor: 24 * time.Hour, Jitter: 1, ProbeTimeout: 24 * time.Hour, Probes: 1e6},
		"short":    {OpenFor: time.Millisecond, MaxOpenFor: time.Millisecond, Jitter: 1, ProbeTimeout: time.Millisecond},
		"never":    {Rules: breaker.Rules{FailureRate: -1, SlowRate: -1, Consecutive: -1, InFlight: -1, SlowAfter: math.MinInt64}, Jitter: -9},
		"tiny":     {Rules: breaker.Rules{FailureRate: math.SmallestNonzeroFloat64, MinCalls: 1, Window: 100 * time.Millisecond}},
		"all":      {Rules: breaker.Rules{FailureRate: 1, MinCalls: 1e9, Window: time.Hour, Consecutive: 1e9, InFlight: 1e9, SlowAfter: 24 * time.Hour}},
		"defaults": {},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, &o, func(t *testing.T, b *breaker.Breaker) {
				calls(t, b, 5, nil)
				_ = do(b, errDown)
				for range 40 {
					require.NoError(t, b.Trip("", 0))
					d := requireOpen(t, b).RetryAfter()
					require.GreaterOrEqual(t, d, time.Millisecond)
					require.LessOrEqual(t, d, 48*time.Hour)
					time.Sleep(d)
					_ = do(b, errDown)
					require.Equal(t, breaker.ProbeFailed, b.Snapshot().Cause)
				}
				b.Reset("")
				calls(t, b, 5, nil)
			})
		})
	}
}

func TestNilInput(t *testing.T) {
	b := newBreaker(t, nil)
	require.ErrorIs(t, b.Do(t.Context(), nil), breaker.ErrInvalid)
	//lint:ignore SA1012 what a careless caller does
	require.ErrorIs(t, b.Do(nil, func(context.Context) error { return nil }), breaker.ErrInvalid)
	_, err := breaker.Value[int](t.Context(), b, nil)
	require.ErrorIs(t, err, breaker.ErrInvalid)
	require.Zero(t, new(breaker.OpenError).RetryAfter())
}

func TestNames(t *testing.T) {
	require.Equal(t, "State(9)", breaker.State(9).String())
	require.Equal(t, "Cause(77)", breaker.Cause(77).String())
	require.Equal(t, "none", breaker.Cause(0).String())
	require.Equal(t, "billing", newBreaker(t, nil).Name())
}
