package lock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/fence"
	"github.com/concordkit/concord/lock/memlock"
)

func ExampleNew() {
	locks := lock.New(memlock.New(), &lock.Options{Trace: lock.LogTrace(slog.Default())})
	defer locks.Close(context.Background())
	lease, err := locks.Acquire(context.Background(), "invoice-42")
	fmt.Println(lease != nil, err)
	// Output: true <nil>
}

func ExampleLocker_Acquire() {
	locks := lock.New(memlock.New(), nil)
	lease, err := locks.Acquire(context.Background(), "invoice-42")
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Release()
	fmt.Println(lease.Token())
	// Output: 1
}

func ExampleLocker_TryAcquire() {
	locks := lock.New(memlock.New(), nil)
	lease, err := locks.TryAcquire(context.Background(), "nightly-report")
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Release()
	_, err = locks.TryAcquire(context.Background(), "nightly-report")
	fmt.Println(errors.Is(err, lock.ErrHeld))
	// Output: true
}

func ExampleLocker_Do() {
	locks := lock.New(memlock.New(), nil)
	var guard fence.Guard
	err := locks.Do(context.Background(), "account-7", func(ctx context.Context, lease *lock.Lease) error {
		// ctx ends before anyone else can hold; the token stops a write that comes too late all the same.
		return guard.Do("account-7", lease.Token(), func() error {
			fmt.Println("paid")
			return nil
		})
	})
	fmt.Println(err)
	// Output:
	// paid
	// <nil>
}

func ExampleLocker_Claim() {
	locks := lock.New(memlock.New(), nil)
	ctx := context.Background()
	reader := lock.Claim{Name: "catalogue"}.Shared()
	worker := lock.Claim{Name: "ffmpeg"}.Of(1, 2) // one of two places
	for _, c := range []lock.Claim{reader, reader, worker, worker} {
		if _, err := locks.Claim(ctx, c); err != nil {
			log.Fatal(err)
		}
	}
	_, err := locks.TryAcquire(ctx, "catalogue")
	fmt.Println(errors.Is(err, lock.ErrHeld))
	worker.NoWait = true
	_, err = locks.Claim(ctx, worker)
	fmt.Println(errors.Is(err, lock.ErrHeld))
	// Output:
	// true
	// true
}

func ExampleLocker_AcquireAll() {
	locks := lock.New(memlock.New(), nil)
	leases, err := locks.AcquireAll(context.Background(), "account-9", "account-7")
	if err != nil {
		log.Fatal(err)
	}
	defer leases.Release()
	for _, lease := range leases.All() {
		fmt.Println(lease.Claim().Name, lease.Token())
	}
	// Output:
	// account-7 1
	// account-9 2
}

func ExampleLocker_Watch() {
	locks := lock.New(memlock.New(), nil)
	ctx := context.Background()
	_, err := locks.Claim(ctx, lock.Claim{Dir: "workers", Name: "w1", Value: []byte("10.0.0.1:8000")})
	if err != nil {
		log.Fatal(err)
	}
	watch, err := locks.Watch(ctx, "workers")
	if err != nil {
		log.Fatal(err)
	}
	for holders, err := range watch.All(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		for _, h := range holders {
			fmt.Printf("%s at %s\n", h.Name, h.Value)
		}
		break // or go on, with the full set after every change
	}
	// Output: w1 at 10.0.0.1:8000
}

func ExampleLease_SetValue() {
	locks := lock.New(memlock.New(), nil)
	ctx := context.Background()
	lease, err := locks.Claim(ctx, lock.Claim{Dir: "workers", Name: "w1", Value: []byte("starting")})
	if err != nil {
		log.Fatal(err)
	}
	watch, err := locks.Watch(ctx, "workers")
	if err != nil {
		log.Fatal(err)
	}
	if err := lease.SetValue(ctx, []byte("ready")); err != nil {
		log.Fatal(err)
	}
	for holders := range watch.All(ctx) {
		if string(holders[0].Value) == "ready" {
			fmt.Println("ready")
			break
		}
	}
	// Output: ready
}

func ExampleLogTrace() {
	handler := slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})
	locks := lock.New(memlock.New(), &lock.Options{Trace: lock.LogTrace(slog.New(handler))})
	lease, err := locks.Acquire(context.Background(), "a")
	if err != nil {
		log.Fatal(err)
	}
	lease.Release()
	// Output:
	// level=DEBUG msg="lock acquired" component=lock name=a
	// level=DEBUG msg="lock released" component=lock name=a
}
