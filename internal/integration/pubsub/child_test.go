package pubsub_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/pubsub"
	"github.com/concordkit/concord/pubsub/natspubsub"
	"github.com/concordkit/concord/pubsub/redispubsub"
)

// childEnv makes this test binary a program that publishes and exits: "redis" or "nats", the server's address, and what it does last,
// or "work" for one that consumes.
const childEnv = "CONCORD_PUBSUB_CHILD"

const childSends = 20000

func child() {
	args := strings.Fields(os.Getenv(childEnv))
	if err := childRun(args[0], args[1], args[2]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0) // at once
}

func childRun(kind, addr, last string) error {
	var bus pubsub.BusBackend
	var queue pubsub.QueueBackend
	if kind == "redis" {
		rdb := redis.NewClient(&redis.Options{Addr: addr})
		bus, queue = redispubsub.NewBus(rdb, nil), redispubsub.NewQueue(rdb, nil)
	} else {
		nc, err := nats.Connect("nats://" + addr)
		if err != nil {
			return err
		}
		js, err := jetstream.New(nc)
		if err != nil {
			return err
		}
		bus, queue = natspubsub.NewBus(nc, nil), natspubsub.NewQueue(js, nil)
	}
	if last == "work" {
		return childWork(queue)
	}
	return childPublish(pubsub.NewBus(bus, nil), last)
}

func childPublish(bus *pubsub.Bus, last string) error {
	ctx := context.Background()
	for i := 0; i < childSends; i += 100 {
		var ms []pubsub.Message
		for j := range 100 {
			ms = append(ms, pubsub.Message{Data: fmt.Append(nil, i+j)})
		}
		if err := bus.Publish(ctx, "child", ms...); err != nil {
			return err
		}
	}
	if last == "flush" {
		return bus.Flush(ctx)
	}
	return bus.Close(ctx)
}

// A process that exits right after Flush or Close has lost nothing.
func TestExitAfterFlush(t *testing.T) {
	t.Parallel()
	onServers(t, func(t *testing.T, e engine) {
		links := e.links(t)
		kind := "redis"
		if _, ok := e.(natsEngine); ok {
			kind = "nats"
		}
		for _, last := range []string{"flush", "close"} {
			in := subscribe(t, newBus(t, e.connect(t, nil, "")), "child", &pubsub.SubscribeOptions{Buffer: childSends})
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), childEnv+"="+kind+" "+links[0].Addr()+" "+last)
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			next := 0
			for m, err := range in.All(ctx) {
				require.NoError(t, err, "after %d of %d", next, childSends)
				require.Equal(t, fmt.Sprint(next), string(m.Data))
				if next++; next == childSends {
					break
				}
			}
		}
	})
}
