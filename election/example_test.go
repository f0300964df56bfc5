package election_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/concordkit/concord/election"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/memlock"
)

func ExampleNew() {
	locks := lock.New(memlock.New(), nil)
	defer locks.Close(context.Background())
	e := election.New(locks, "scheduler", &election.Options{ID: "node-1", Value: "10.0.0.1:8000"})
	_, err := e.Leader(context.Background())
	fmt.Println(err)
	// Output: election: no leader in "scheduler"
}

func ExampleElection_Run() {
	locks := lock.New(memlock.New(), nil)
	e := election.New(locks, "scheduler", &election.Options{ID: "node-1"})
	ctx, shutdown := context.WithCancel(context.Background())
	err := e.Run(ctx, func(ctx context.Context, t election.Term) error {
		fmt.Println("leads in term", t)
		shutdown()   // here it is the leader itself that ends the program
		<-ctx.Done() // work until then, and clean up before returning
		return nil
	})
	fmt.Println(errors.Is(err, context.Canceled))
	// Output:
	// leads in term 1
	// true
}

func ExampleElection_Campaign() {
	locks := lock.New(memlock.New(), nil)
	e := election.New(locks, "scheduler", &election.Options{ID: "node-1"})
	leadership, err := e.Campaign(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	defer leadership.Resign() // once the work below has ended
	fmt.Println("leads in term", leadership.Term())
	for day := range 3 {
		if leadership.Context().Err() != nil {
			return // lost: somebody else may lead from now on
		}
		fmt.Println("day", day)
	}
	// Output:
	// leads in term 1
	// day 0
	// day 1
	// day 2
}

func ExampleElection_Leader() {
	locks := lock.New(memlock.New(), nil)
	ctx := context.Background()
	_, err := election.New(locks, "scheduler", &election.Options{ID: "node-1", Value: "10.0.0.1:8000"}).Campaign(ctx)
	if err != nil {
		log.Fatal(err)
	}
	leader, err := election.New(locks, "scheduler", nil).Leader(ctx) // who only asks needs no ID
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(leader.ID, leader.Value, leader.Term)
	// Output: node-1 10.0.0.1:8000 1
}

func ExampleElection_Watch() {
	locks := lock.New(memlock.New(), nil)
	ctx := context.Background()
	watch, err := election.New(locks, "scheduler", nil).Watch(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(watch.Leader().Term)
	_, err = election.New(locks, "scheduler", &election.Options{ID: "node-1"}).Campaign(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for leader, err := range watch.All(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		if leader.Term > 0 {
			fmt.Println(leader.ID, leader.Term)
			break // or go on, with every change
		}
	}
	// Output:
	// 0
	// node-1 1
}

func ExampleLeadership_SetValue() {
	locks := lock.New(memlock.New(), nil)
	ctx := context.Background()
	e := election.New(locks, "scheduler", &election.Options{ID: "node-1", Value: "starting"})
	leadership, err := e.Campaign(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer leadership.Resign()
	if err := leadership.SetValue(ctx, "10.0.0.1:8000"); err != nil {
		log.Fatal(err)
	}
	leader, err := e.Leader(ctx)
	fmt.Println(leader.Value, err)
	// Output: 10.0.0.1:8000 <nil>
}

func ExampleLogTrace() {
	handler := slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})
	locks := lock.New(memlock.New(), nil)
	e := election.New(locks, "scheduler", &election.Options{ID: "node-1", Trace: election.LogTrace(slog.New(handler))})
	leadership, err := e.Campaign(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	leadership.Resign()
	// Output:
	// level=INFO msg="election won" component=election election=scheduler id=node-1 term=1
	// level=INFO msg="leader resigned" component=election election=scheduler id=node-1 term=1
}
