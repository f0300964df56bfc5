package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/concordkit/concord/breaker"
)

// charge stands for a call to a service that is down.
func charge(context.Context) error { return errors.New("connection refused") }

func ExampleNew() {
	b, err := breaker.New("billing", &breaker.Options{
		Rules:   breaker.Rules{FailureRate: 0.2, MinCalls: 50, Window: 30 * time.Second},
		OpenFor: 2 * time.Second,
	})
	fmt.Println(b.Name(), b.State(), err)
	_, err = breaker.New("billing", &breaker.Options{Rules: breaker.Rules{FailureRate: 20}})
	fmt.Println(err)
	// Output:
	// billing closed <nil>
	// breaker: invalid: Rules.FailureRate 20: want more than 0, at most 1, or negative for off
}

func ExampleBreaker_Do() {
	b, err := breaker.New("billing", &breaker.Options{
		Rules: breaker.Rules{Consecutive: 2}, OpenFor: time.Minute, Jitter: -1,
	})
	if err != nil {
		log.Fatal(err)
	}
	for range 3 {
		err := b.Do(context.Background(), charge)
		if open, ok := errors.AsType[*breaker.OpenError](err); ok {
			fmt.Println(err, "- come back in", open.RetryAfter().Round(time.Second))
			continue
		}
		fmt.Println(err)
	}
	// Output:
	// connection refused
	// connection refused
	// breaker: "billing" is open: consecutive failures - come back in 1m0s
}

func ExampleValue() {
	b, err := breaker.New("inventory", nil)
	if err != nil {
		log.Fatal(err)
	}
	stock, err := breaker.Value(context.Background(), b, func(context.Context) (int, error) { return 42, nil })
	fmt.Println(stock, err)
	// Output: 42 <nil>
}

func ExampleBreaker_Allow() {
	b, err := breaker.New("uploads", nil)
	if err != nil {
		log.Fatal(err)
	}
	permit, err := b.Allow()
	if err != nil {
		fmt.Println("not now:", err)
		return
	}
	defer permit.Cancel() // does nothing after Done
	permit.Done(charge(context.Background()))
	fmt.Println(b.Snapshot().Failures)
	// Output: 1
}

func ExampleBreaker_Trip() {
	b, err := breaker.New("billing", nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := b.Trip("their status page says so", time.Minute); err != nil {
		log.Fatal(err)
	}
	fmt.Println(b.Do(context.Background(), charge))
	b.Restore("all well again")
	fmt.Println(b.State())
	// Output:
	// breaker: "billing" is open: manual (their status page says so)
	// closed
}

func ExampleBreaker_ForceOpen() {
	b, err := breaker.New("billing", nil)
	if err != nil {
		log.Fatal(err)
	}
	b.ForceOpen("migration")
	b.Restore("a controller")
	fmt.Println(b.State())
	b.Disable("measuring without it")
	fmt.Println(b.Do(context.Background(), charge))
	b.Reset("done")
	fmt.Println(b.State())
	// Output:
	// forced-open
	// connection refused
	// closed
}

func ExampleBreaker_Probe() {
	b, err := breaker.New("billing", nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := b.Trip("deploy", time.Hour); err != nil {
		log.Fatal(err)
	}
	b.Probe("deployed")
	fmt.Println(b.Snapshot().OpenFor <= time.Millisecond)
	// Output: true
}

func ExampleBreaker_Transitions() {
	b, err := breaker.New("billing", nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	changes := b.Transitions(ctx) // from here on
	b.ForceOpen("migration")
	b.Reset("done")
	for t, err := range changes.All(ctx) {
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Println(t)
		if t.To == breaker.Closed {
			cancel()
		}
	}
	// Output:
	// billing: closed -> forced-open: manual (migration)
	// billing: forced-open -> closed: manual (done)
	// breaker: transitions: context canceled
}

func ExampleOptions_classify() {
	errNotFound := errors.New("not found")
	b, err := breaker.New("catalogue", &breaker.Options{
		Rules: breaker.Rules{Consecutive: 1},
		Classify: func(err error) breaker.Outcome {
			if errors.Is(err, errNotFound) {
				return breaker.Success // it answered
			}
			return breaker.Failure
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(b.Do(context.Background(), func(context.Context) error { return errNotFound }), b.State())
	// Output: not found closed
}

func ExampleNewSet() {
	hosts, err := breaker.NewSet(&breaker.SetOptions{Breaker: breaker.Options{Rules: breaker.Rules{Consecutive: 1}}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(hosts.Do(context.Background(), "10.0.0.1", charge))
	fmt.Println(hosts.Get("10.0.0.1").State(), hosts.Get("10.0.0.2").State())
	// Output:
	// connection refused
	// open closed
}

func ExampleLogTrace() {
	handler := slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	opened := 0
	b, err := breaker.New("billing", &breaker.Options{
		Trace: breaker.JoinTraces(breaker.LogTrace(slog.New(handler)), &breaker.Trace{
			Transition: func(t breaker.Transition) { opened++ },
		}),
	})
	if err != nil {
		log.Fatal(err)
	}
	b.ForceOpen("migration")
	fmt.Println(opened)
	// Output:
	// level=WARN msg="breaker forced-open" component=breaker name=billing from=closed to=forced-open cause=manual reason=migration
	// 1
}
