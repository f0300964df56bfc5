package retrybench

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
	"github.com/concordkit/concord/retry"
)

// bucketSize is what a bucket of either side holds.
const bucketSize = 100

var errEmpty = errors.New("the budget is empty")

// budgets measures the buckets alone, ours and the one of the retryer in the SDK of AWS. A success brings what a retry takes.
func budgets(ctx context.Context) ([]ratio.Row, error) {
	b, err := newBudget()
	if err != nil {
		return nil, err
	}
	l := ratelimit.NewTokenRateLimit(bucketSize)
	deposit, err := compare("TokenBudget.Deposit after a success, bucket full", deposits(b), "AWS AddTokens", adds(l), atMost(0.1), brief)
	if err != nil {
		return nil, err
	}
	withdraw, err := compare("TokenBudget.Withdraw, and Deposit", withdrawals(b), "AWS GetToken, and release", gets(ctx, l), info, brief)
	return []ratio.Row{deposit, withdraw}, err
}

func newBudget() (*retry.TokenBudget, error) {
	return retry.NewBudget("billing", &retry.BudgetOptions{Max: bucketSize, Ratio: 1})
}

func deposits(b *retry.TokenBudget) ratio.Op {
	return func(n int) error {
		for range n {
			b.Deposit()
		}
		return nil
	}
}

func adds(l *ratelimit.TokenRateLimit) ratio.Op {
	return func(n int) error {
		for range n {
			_ = l.AddTokens(1)
		}
		return nil
	}
}

func withdrawals(b *retry.TokenBudget) ratio.Op {
	return func(n int) error {
		for range n {
			if !b.Withdraw() {
				return errEmpty
			}
			b.Deposit()
		}
		return nil
	}
}

func gets(ctx context.Context, l *ratelimit.TokenRateLimit) ratio.Op {
	return func(n int) error {
		for range n {
			release, err := l.GetToken(ctx, 1)
			if err != nil {
				return err
			}
			_ = release()
		}
		return nil
	}
}

func budgetAllocations(ctx context.Context) (ratio.Row, error) {
	b, err := newBudget()
	if err != nil {
		return ratio.Row{}, err
	}
	l := ratelimit.NewTokenRateLimit(bucketSize)
	return counted("Withdraw, and Deposit", perCall(withdrawals(b)), "AWS GetToken, and release", perCall(gets(ctx, l)), none), nil
}
