package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"time"

	"github.com/concordkit/concord/breaker"
	"github.com/concordkit/concord/breaker/fleet"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/memlock"
)

func ExampleJoin() {
	ctx := context.Background()
	b, err := breaker.New("billing", nil)
	if err != nil {
		log.Fatal(err)
	}
	locks := lock.New(memlock.New(), nil) // redislock, etcdlock or natslock, where there are other processes
	m, err := fleet.Join(ctx, locks, b, &fleet.Options{Quorum: 3, Share: 0.2, Trace: fleet.LogTrace(slog.Default())})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Leave(ctx)

	err = b.Do(ctx, func(context.Context) error { return nil }) // as without a fleet
	fmt.Println(err, m.Snapshot().Open)
	// Output: <nil> false
}

// An operator closes the doors of all processes before the service behind them goes down.
func ExampleMember_Trip() {
	ctx := context.Background()
	store := memlock.New()
	var bs []*breaker.Breaker
	var ms []*fleet.Member
	for range 2 { // two processes
		b, err := breaker.New("billing", nil)
		if err != nil {
			log.Fatal(err)
		}
		m, err := fleet.Join(ctx, lock.New(store, nil), b, nil)
		if err != nil {
			log.Fatal(err)
		}
		defer m.Leave(ctx)
		bs, ms = append(bs, b), append(ms, m)
	}
	if err := ms[0].Trip(ctx, "migration", time.Hour); err != nil {
		log.Fatal(err)
	}
	err := bs[0].Do(ctx, func(context.Context) error { return nil })
	fmt.Println(errors.Is(err, breaker.ErrOpen))
	fmt.Println(ms[0].Restore(ctx))
	// Output:
	// true
	// <nil>
}
