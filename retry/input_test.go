package retry_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/retry"
	"github.com/concordkit/concord/retry/membudget"
)

func TestBadOptions(t *testing.T) {
	for want, o := range map[string]retry.Options{
		"Attempts 1000000001: want 1 to 1000000000":                            {Attempts: 1e9 + 1},
		"Elapsed -1ns: want 1ms to 24h0m0s, or 0 for none":                     {Elapsed: -1},
		"Elapsed 24h0m0.000000001s: want 1ms to 24h0m0s, or 0 for none":        {Elapsed: 24*time.Hour + 1},
		"Timeout 1µs: want 1ms to 24h0m0s, or 0 for none":                      {Timeout: time.Microsecond},
		"Timeout 2562047h47m16.854775807s: want 1ms to 24h0m0s, or 0 for none": {Timeout: math.MaxInt64},
		"Delay 1ns: want 1µs to 24h0m0s":                                       {Delay: 1},
		"Delay 2562047h47m16.854775807s: want 1µs to 24h0m0s":                  {Delay: math.MaxInt64},
		"MaxDelay 10ms: want 100ms to 24h0m0s":                                 {MaxDelay: 10 * time.Millisecond},
		"MaxDelay -1ns: want 100ms to 24h0m0s":                                 {MaxDelay: -1},
		"MaxDelay 25h0m0s: want 100ms to 24h0m0s":                              {MaxDelay: 25 * time.Hour},
		"MaxRetryAfter -1s: want 1ms to 24h0m0s":                               {MaxRetryAfter: -time.Second},
		"MaxRetryAfter 2562047h47m16.854775807s: want 1ms to 24h0m0s":          {MaxRetryAfter: math.MaxInt64},
		"Jitter 4: want one of the constants":                                  {Jitter: 4},
	} {
		_, err := retry.New(&o)
		require.ErrorIs(t, err, retry.ErrInvalid)
		require.EqualError(t, err, "retry: invalid: "+want)
	}
}

func TestBadBudgets(t *testing.T) {
	for want, o := range map[string]retry.BudgetOptions{
		"Max -1: want 1 to 1000000":                           {Max: -1},
		"Max 1000001: want 1 to 1000000":                      {Max: 1e6 + 1},
		"Ratio NaN: want 0.001 to 1, or negative for none":    {Ratio: math.NaN()},
		"Ratio +Inf: want 0.001 to 1, or negative for none":   {Ratio: math.Inf(1)},
		"Ratio 20: want 0.001 to 1, or negative for none":     {Ratio: 20},
		"Ratio 0.0005: want 0.001 to 1, or negative for none": {Ratio: 0.0005},
		"PerSecond 1000001: want 0 to 1000000":                {PerSecond: 1e6 + 1},
	} {
		_, err := retry.NewBudget("a", &o)
		require.ErrorIs(t, err, retry.ErrInvalid)
		require.EqualError(t, err, "retry: invalid: "+want)
	}
	for want, o := range map[string]retry.SharedOptions{
		"Max -1: want 1 to 1000000":            {Max: -1},
		"PerSecond 1000001: want 0 to 1000000": {PerSecond: 1e6 + 1},
		"Chunk 11: want 1 to 10":               {Max: 10, Chunk: 11},
		"Chunk -1: want 1 to 1000":             {Chunk: -1},
		"Hold 1ms: want 10ms to 24h0m0s":       {Hold: time.Millisecond},
		"Timeout -1ns: want 1ms to 24h0m0s":    {Timeout: -1},
	} {
		_, err := retry.NewSharedBudget(membudget.New(), "a", &o)
		require.ErrorIs(t, err, retry.ErrInvalid)
		require.EqualError(t, err, "retry: invalid: "+want)
	}
	for _, name := range []string{"", "\xff", strings.Repeat("a", 257)} {
		_, err := retry.NewSharedBudget(membudget.New(), name, nil)
		require.ErrorIs(t, err, retry.ErrInvalid)
	}
	_, err := retry.NewSharedBudget(nil, "a", nil)
	require.ErrorIs(t, err, retry.ErrInvalid)
}

func TestBadHedgers(t *testing.T) {
	for want, o := range map[string]retry.HedgeOptions[int]{
		"Delay -1ns: want 1µs to 24h0m0s":               {Delay: -1},
		"Max -1: want 1 to 100":                         {Max: -1},
		"Max 101: want 1 to 100":                        {Max: 101},
		"Quantile NaN: want more than 0, at most 0.99":  {Quantile: math.NaN()},
		"Quantile -0.5: want more than 0, at most 0.99": {Quantile: -0.5},
		"Quantile 1: want more than 0, at most 0.99":    {Quantile: 1},
	} {
		_, err := retry.NewHedger(&o)
		require.ErrorIs(t, err, retry.ErrInvalid)
		require.EqualError(t, err, "retry: invalid: "+want)
	}
}

func TestNilInput(t *testing.T) {
	var none context.Context
	work := func(context.Context) error { return nil }
	value := func(context.Context) (int, error) { return 1, nil }
	require.EqualError(t, retry.Do(none, nil, work), "retry: invalid: nil context")
	require.EqualError(t, retry.Do(t.Context(), nil, nil), "retry: invalid: Do with nil: want a func")
	_, err := retry.Value[int](t.Context(), nil, nil)
	require.ErrorIs(t, err, retry.ErrInvalid)
	_, err = retry.Value(none, nil, value)
	require.ErrorIs(t, err, retry.ErrInvalid)
	a := new(retry.Policy).Start(none)
	require.False(t, a.Next())
	require.ErrorIs(t, a.Err(), retry.ErrInvalid)

	h, err := retry.NewHedger[int](nil)
	require.NoError(t, err)
	for _, try := range []func() (int, error){
		func() (int, error) { return retry.Hedge(none, h, value) },
		func() (int, error) { return retry.Hedge(t.Context(), nil, value) },
		func() (int, error) { return retry.Hedge(t.Context(), new(retry.Hedger[int]), value) },
		func() (int, error) { return retry.Hedge(t.Context(), h, nil) },
	} {
		_, err := try()
		require.ErrorIs(t, err, retry.ErrInvalid)
	}
}

func TestNames(t *testing.T) {
	require.Equal(t, "decorrelated", retry.DecorrelatedJitter.String())
	require.Equal(t, "Jitter(9)", retry.Jitter(9).String())
	require.Equal(t, "loop left", retry.LoopLeft.String())
	require.Equal(t, "StopCause(77)", retry.StopCause(77).String())
	require.Equal(t, "none", retry.StopCause(0).String())
}
