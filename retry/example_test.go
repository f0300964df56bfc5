package retry_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/concordkit/concord/retry"
	"github.com/concordkit/concord/retry/membudget"
)

// flaky returns work that fails some times before it succeeds.
func flaky(failures int) func(context.Context) error {
	return func(context.Context) error {
		if failures--; failures >= 0 {
			return errors.New("connection reset")
		}
		return nil
	}
}

func ExampleNew() {
	p, err := retry.New(&retry.Options{Attempts: 4, Delay: time.Millisecond, Timeout: 2 * time.Second})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.Do(context.Background(), flaky(3)))
	fmt.Println(p.Do(context.Background(), flaky(4)))
	_, err = retry.New(&retry.Options{Delay: time.Minute, MaxDelay: time.Second})
	fmt.Println(err)
	// Output:
	// <nil>
	// retry: gave up after 4 attempts (out of attempts): connection reset
	// retry: invalid: MaxDelay 1s: want 1m0s to 24h0m0s
}

func ExampleDo() {
	err := retry.Do(context.Background(), nil, func(context.Context) error {
		return retry.Permanent(errors.New("no such account"))
	})
	fmt.Println(err)
	if e, ok := errors.AsType[*retry.Error](err); ok {
		fmt.Println(e.Attempts, e.Stop, "-", e.Last)
	}
	// Output:
	// retry: gave up after 1 attempt (permanent): no such account
	// 1 permanent - no such account
}

func ExamplePolicy_Do() {
	var standard *retry.Policy // nil is the default
	fmt.Println(standard.Do(context.Background(), flaky(1)))
	// Output: <nil>
}

func ExamplePolicy_Do_deadline() {
	p, err := retry.New(&retry.Options{Delay: time.Minute, Jitter: retry.NoJitter})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fmt.Println(p.Do(ctx, flaky(1))) // at once: the wait would not end in time
	// Output: retry: gave up after 1 attempt (no time for the wait before the deadline): connection reset
}

func ExampleValue() {
	stock, err := retry.Value(context.Background(), nil, func(context.Context) (int, error) { return 42, nil })
	fmt.Println(stock, err)
	// Output: 42 <nil>
}

func ExamplePolicy_Start() {
	p, err := retry.New(&retry.Options{Delay: time.Millisecond})
	if err != nil {
		log.Fatal(err)
	}
	work := flaky(2)
	a := p.Start(context.Background())
	for a.Next() {
		fmt.Println("attempt", a.Number())
		a.Done(work(a.Context()))
	}
	fmt.Println(a.Err())
	// Output:
	// attempt 1
	// attempt 2
	// attempt 3
	// <nil>
}

func ExampleAfter() {
	throttled := errors.New("429 too many requests")
	err := retry.Do(context.Background(), nil, func(context.Context) error {
		return retry.After(throttled, time.Hour)
	})
	fmt.Println(err)
	// Output: retry: gave up after 1 attempt (asked to wait too long: 1h0m0s): 429 too many requests
}

func ExampleFirst() {
	errDuplicate, errBusy := errors.New("duplicate key"), errors.New("busy")
	p, err := retry.New(&retry.Options{
		Delay:  time.Millisecond,
		Unsafe: true,
		Classify: retry.First(
			func(err error) retry.Verdict {
				if errors.Is(err, errDuplicate) {
					return retry.Verdict{Decision: retry.Stop, Reason: "duplicate"}
				}
				return retry.Verdict{} // unsure: the next one may know
			},
			func(err error) retry.Verdict {
				if errors.Is(err, errBusy) {
					return retry.Verdict{Decision: retry.Retry, Applied: retry.NotApplied}
				}
				return retry.Verdict{}
			},
		),
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, failure := range []error{errDuplicate, errBusy, errors.New("connection reset")} {
		fmt.Println(p.Do(context.Background(), func(context.Context) error { return failure }))
	}
	// Output:
	// retry: gave up after 1 attempt (permanent, duplicate): duplicate key
	// retry: gave up after 3 attempts (out of attempts): busy
	// retry: gave up after 1 attempt (not safe to repeat): connection reset
}

func ExampleDepth() {
	p, err := retry.New(&retry.Options{Delay: -1})
	if err != nil {
		log.Fatal(err)
	}
	calls := 0
	_ = p.Do(context.Background(), func(ctx context.Context) error {
		return p.Do(ctx, func(ctx context.Context) error {
			calls++
			return errors.New("down")
		})
	})
	fmt.Println(calls)
	// Output: 5
}

func ExampleNewBudget() {
	billing, err := retry.NewBudget("billing", &retry.BudgetOptions{Max: 1, PerSecond: -1})
	if err != nil {
		log.Fatal(err)
	}
	p, err := retry.New(&retry.Options{Delay: time.Millisecond, Budget: billing})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.Do(context.Background(), flaky(9)))
	fmt.Println(billing.Level())
	// Output:
	// retry: gave up after 2 attempts (local retry budget "billing" is empty): connection reset
	// 0
}

func ExampleNewSharedBudget() {
	budget, err := retry.NewSharedBudget(membudget.New(), "billing", &retry.SharedOptions{Max: 1000, PerSecond: 50})
	if err != nil {
		log.Fatal(err)
	}
	p, err := retry.New(&retry.Options{Budget: budget})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.Do(context.Background(), flaky(0)))
	fmt.Println(budget.Close(context.Background()))
	// Output:
	// <nil>
	// <nil>
}

func ExampleHedge() {
	h, err := retry.NewHedger(&retry.HedgeOptions[string]{Delay: time.Millisecond})
	if err != nil {
		log.Fatal(err)
	}
	v, err := retry.Hedge(context.Background(), h, func(ctx context.Context) (string, error) {
		if retry.Depth(ctx) > 0 {
			return "from the second replica", nil
		}
		<-ctx.Done() // the first hangs
		return "", context.Cause(ctx)
	})
	fmt.Println(v, err)
	// Output: from the second replica <nil>
}

func ExampleNewHedger() {
	_, err := retry.NewHedger(&retry.HedgeOptions[int]{Quantile: 95})
	fmt.Println(err)
	// Output: retry: invalid: Quantile 95: want more than 0, at most 0.99
}

func ExampleLogTrace() {
	handler := slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "elapsed" {
				return slog.Attr{}
			}
			return a
		},
	})
	waits := 0
	p, err := retry.New(&retry.Options{Attempts: 2, Delay: -1, Trace: retry.JoinTraces(
		retry.LogTrace(slog.New(handler)),
		&retry.Trace{Wait: func(context.Context, retry.Wait) { waits++ }},
	)})
	if err != nil {
		log.Fatal(err)
	}
	_ = p.Do(context.Background(), flaky(2))
	fmt.Println(waits)
	// Output:
	// level=DEBUG msg="attempt failed" component=retry attempt=1 wait=0s error="connection reset"
	// level=WARN msg="gave up" component=retry attempts=2 stop="out of attempts" error="connection reset"
	// 1
}
