package retrybench

import (
	"context"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/hedgepolicy"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
	"github.com/concordkit/concord/retry"
)

const (
	// never is how long the second attempt waits.
	never     = time.Hour
	hedgeGoal = "Hedge, not fired"
)

func hedges(ctx context.Context) ([]ratio.Row, error) {
	ours, err := hedging(ctx)
	if err != nil {
		return nil, err
	}
	row, err := compare(hedgeGoal, ours, failsafeExecutor.name, failsafeHedging(), atMost(0.5), whole)
	return []ratio.Row{row}, err
}

func hedgeAllocations(ctx context.Context) (ratio.Row, error) {
	ours, err := hedging(ctx)
	if err != nil {
		return ratio.Row{}, err
	}
	return counted(hedgeGoal, perCall(ours), failsafeExecutor.name, perCall(failsafeHedging()), ratio.AtMost(5, "")), nil
}

// hedging is ours.
func hedging(ctx context.Context) (ratio.Op, error) {
	h, err := retry.NewHedger(&retry.HedgeOptions[int]{Delay: never})
	f := func(context.Context) (int, error) { return 1, nil }
	return ratio.Each(func() error {
		_, err := retry.Hedge(ctx, h, f)
		return err
	}), err
}

// failsafeHedging is failsafe-go's, with an executor that is used for all calls.
func failsafeHedging() ratio.Op {
	e := failsafe.With(hedgepolicy.NewWithDelay[int](never))
	f := func() (int, error) { return 1, nil }
	return ratio.Each(func() error {
		_, err := e.Get(f)
		return err
	})
}
