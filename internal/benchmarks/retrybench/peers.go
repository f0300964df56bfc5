package retrybench

import (
	"context"
	"time"

	avastretry "github.com/avast/retry-go/v5"
	"github.com/cenkalti/backoff/v7"
	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	sethvargoretry "github.com/sethvargo/go-retry"
)

// hand is the loop that is written where no library is. Like ours, it makes no attempt when its context has ended.
var hand = library{"hand loop", func() (retrier, error) { return byHand{}, nil }}

type byHand struct{}

func (byHand) calls(ctx context.Context, n int, w *work) {
	for range n {
		for range attempts {
			if ctx.Err() != nil || w.run(ctx) == nil {
				break
			}
		}
	}
}

// cenkalti is cenkalti/backoff, with options that are made once.
var cenkalti = library{"cenkalti/backoff", func() (retrier, error) {
	return backingOff{backoff.WithBackOff(&backoff.ZeroBackOff{}), backoff.WithMaxTries(attempts)}, nil
}}

type backingOff []backoff.RetryOption

func (o backingOff) calls(ctx context.Context, n int, w *work) {
	f := func() (int, error) { return w.succeeded, w.run(ctx) }
	for range n {
		_, _ = backoff.Retry(ctx, f, o...)
	}
}

// avast is avast/retry-go, with a Retrier that is used for all calls.
var avast = library{"avast/retry-go", func() (retrier, error) {
	return retrying{avastretry.New(avastretry.Attempts(attempts), avastretry.Delay(0), avastretry.DelayType(avastretry.FixedDelay))}, nil
}}

// avastThrottled is avast/retry-go with its bucket.
var avastThrottled = library{"avast/retry-go, throttled", func() (retrier, error) {
	return retrying{avastretry.New(avastretry.Attempts(attempts), avastretry.Delay(0), avastretry.DelayType(avastretry.FixedDelay),
		avastretry.WithFixedTokenBucketThrottle(avastretry.FixedTokenBucketThrottleConfig{MaxCapacity: bucketSize, ThrottleCost: 1}))}, nil
}}

type retrying struct{ *avastretry.Retrier }

func (r retrying) calls(ctx context.Context, n int, w *work) {
	f := func() error { return w.run(ctx) }
	for range n {
		_ = r.Do(f)
	}
}

// sethvargo is sethvargo/go-retry, whose backoffs count and so are made for each call.
var sethvargo = library{"sethvargo/go-retry", func() (retrier, error) {
	return counting{sethvargoretry.BackoffFunc(func() (time.Duration, bool) { return 0, false })}, nil
}}

type counting struct{ zero sethvargoretry.Backoff }

func (c counting) calls(ctx context.Context, n int, w *work) {
	f := func(ctx context.Context) error { return sethvargoretry.RetryableError(w.run(ctx)) }
	for range n {
		_ = sethvargoretry.Do(ctx, sethvargoretry.WithMaxRetries(attempts-1, c.zero), f)
	}
}

// failsafeExecutor is failsafe-go, with an executor that is used for all calls.
var failsafeExecutor = library{"failsafe-go", func() (retrier, error) {
	return executing{failsafe.With(retrypolicy.NewBuilder[int]().WithMaxAttempts(attempts).Build())}, nil
}}

type executing struct{ failsafe.Executor[int] }

func (e executing) calls(ctx context.Context, n int, w *work) {
	f := func() error { return w.run(ctx) }
	for range n {
		_ = e.Run(f)
	}
}
