package members_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"

	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/memlock"
	"github.com/concordkit/concord/ring"
	"github.com/concordkit/concord/ring/members"
)

func ExampleJoin() {
	ctx := context.Background()
	locks := lock.New(memlock.New(), nil)
	me, err := members.Join(ctx, locks, "cache", ring.Node{ID: "host-1", Addr: "10.0.0.1:6379", Zone: "north"}, &members.Options{
		Drain: -1, // in an example; a server takes the time that its requests need
		Trace: members.LogTrace(slog.Default()),
	})
	if err != nil {
		log.Fatal(err)
	}
	// … until the process is told to end:
	fmt.Println(me.Leave(ctx))
	// Output: <nil>
}

func ExampleFollow() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	locks := lock.New(memlock.New(), nil)
	for _, id := range []string{"host-1", "host-2"} {
		if _, err := members.Join(ctx, locks, "cache", ring.Node{ID: id}, nil); err != nil {
			log.Fatal(err)
		}
	}
	r, err := ring.New(nil, nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := members.Follow(ctx, locks, "cache", r, nil); err != nil {
		log.Fatal(err)
	}
	node, ok := r.Lookup("user:42")
	fmt.Println(node.ID, ok)
	// Output: host-1 true
}

func ExampleMember_Update() {
	ctx := context.Background()
	locks := lock.New(memlock.New(), nil)
	me, err := members.Join(ctx, locks, "cache", ring.Node{ID: "host-1", State: ring.Joining}, nil)
	if err != nil {
		log.Fatal(err)
	}
	// … once the cache is warm:
	err = me.Update(ctx, func(n *ring.Node) { n.State = ring.Active })
	fmt.Println(err, me.Node().State)
	// Output: <nil> active
}
