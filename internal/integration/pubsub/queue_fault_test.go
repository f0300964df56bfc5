package pubsub_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/internal/integration/natsserver"
	"github.com/concordkit/concord/internal/integration/pause"
	"github.com/concordkit/concord/internal/integration/redisserver"
	"github.com/concordkit/concord/internal/integration/stores"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/fence"
	"github.com/concordkit/concord/pubsub"
	"github.com/concordkit/concord/pubsub/natspubsub"
	"github.com/concordkit/concord/pubsub/redispubsub"
)

// queueEngine is what carries the messages of a queue in a test.
type queueEngine struct {
	kind string // as childEnv has it
	// links returns the links of a new process.
	links func(t *testing.T) faultproxy.Links
	// connect returns a queue with a client of its own, by those links, or without any.
	connect func(t *testing.T, links faultproxy.Links, partitions int) pubsub.QueueBackend
}

// onQueues runs a test on each engine.
func onQueues(t *testing.T, run func(t *testing.T, e queueEngine)) {
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		s := redisserver.Start(t)
		run(t, queueEngine{"redis", func(t *testing.T) faultproxy.Links { return faultproxy.Links{s.Proxy(t)} },
			func(t *testing.T, links faultproxy.Links, partitions int) pubsub.QueueBackend {
				o := &redispubsub.QueueOptions{Partitions: partitions}
				if links == nil {
					return redispubsub.NewQueue(s.Dial(t, stores.Heedful), o)
				}
				return redispubsub.NewQueue(s.DialThrough(t, links[0], stores.Heedful), o)
			}})
	})
	t.Run("nats", func(t *testing.T) {
		t.Parallel()
		c := natsserver.Start(t, 1)
		run(t, queueEngine{"nats", func(t *testing.T) faultproxy.Links { return c.Links(t) },
			func(t *testing.T, links faultproxy.Links, partitions int) pubsub.QueueBackend {
				return natsQueue(t, c, links, &natspubsub.QueueOptions{Partitions: partitions})
			}})
	})
}

const faultLease = 2 * time.Second

// Five processes are replaced one after the other, first in good order, then without a word to the engine, while messages come. All
// are handled, and none is taken for one that cannot be.
func TestQueueRollingRestarts(t *testing.T) {
	t.Parallel()
	onQueues(t, func(t *testing.T, e queueEngine) {
		for _, partitions := range []int{0, 4} {
			t.Run(fmt.Sprint(partitions), func(t *testing.T) { rollingRestarts(t, e, partitions) })
		}
	})
}

func rollingRestarts(t *testing.T, e queueEngine, partitions int) {
	const processes, batches, each = 5, 20, 50
	topic := fmt.Sprint("rolling", partitions)
	q := pubsub.NewQueue(e.connect(t, nil, partitions), nil)
	var mu sync.Mutex
	handled := map[string]int{}
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(handled)
	}
	start := func() (*pubsub.Consumer, faultproxy.Links) {
		links := e.links(t)
		c, err := pubsub.NewQueue(e.connect(t, links, partitions), nil).Consume(t.Context(), topic, "g",
			func(_ context.Context, d *pubsub.Delivery) error {
				time.Sleep(10 * time.Millisecond)
				mu.Lock()
				defer mu.Unlock()
				handled[string(d.Data)]++
				return nil
			}, &pubsub.ConsumeOptions{Prefetch: 100, Concurrency: 2, Lease: faultLease})
		require.NoError(t, err)
		t.Cleanup(func() {
			for _, l := range links {
				l.Heal()
			}
			require.NoError(t, c.Drain(context.Background()))
		})
		return c, links
	}
	running, by := make([]*pubsub.Consumer, processes), make([]faultproxy.Links, processes)
	for i := range processes {
		running[i], by[i] = start()
	}
	published := make(chan error, 1)
	go func() {
		var err error
		for b := 0; b < batches && err == nil; b++ {
			ms := make([]pubsub.Message, each)
			for i := range ms {
				ms[i] = pubsub.Message{Key: fmt.Sprint("k", i), Data: fmt.Append(nil, b*each+i)}
			}
			err = q.Publish(t.Context(), topic, ms...)
			time.Sleep(100 * time.Millisecond)
		}
		published <- err
	}()
	for i := range processes {
		time.Sleep(100 * time.Millisecond)
		require.NoError(t, running[i].Drain(t.Context()))
		running[i], by[i] = start()
	}
	for i := range processes {
		time.Sleep(100 * time.Millisecond)
		by[i].Set(faultproxy.Faults{BlackholeUp: true, BlackholeDown: true})
		running[i], by[i] = start()
	}
	require.NoError(t, <-published)
	require.Eventually(t, func() bool { return count() == batches*each }, 40*time.Second, 50*time.Millisecond)
	require.Eventually(t, func() bool {
		s, err := q.Stats(t.Context(), topic, "g")
		return err == nil && s.Waiting+s.Pending == 0
	}, 20*time.Second, 50*time.Millisecond)
	for d, err := range q.DeadLetters(t.Context(), topic, "g") {
		require.NoError(t, err)
		t.Errorf("%s is dead after %d attempts: %s", d.Data, d.Attempts, d.Error)
	}
	again := 0
	for _, n := range handled {
		again += n - 1
	}
	t.Logf("%d of %d were handled more than once", again, batches*each)
}

// A process that was stopped for longer than its lease goes on with what another one has by then. Its token tells.
func TestQueuePausedConsumerIsFenced(t *testing.T) {
	t.Parallel()
	onQueues(t, func(t *testing.T, e queueEngine) {
		q := pubsub.NewQueue(e.connect(t, nil, 0), nil)
		require.NoError(t, q.Publish(t.Context(), "t", pubsub.Message{Data: []byte("x")}))
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+e.kind+" "+e.links(t)[0].Addr()+" work")
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		var resource fence.Guard
		write := func(token uint64) error { return resource.Do("x", lock.Token(token), func() error { return nil }) }
		wrote, ended := make(chan uint64, 1), make(chan int, 1) // the child's first token, and how many of its writes were stale
		go func() {
			stale := 0
			for lines := bufio.NewScanner(out); lines.Scan(); {
				var token uint64
				if n, _ := fmt.Sscanf(lines.Text(), "write %d", &token); n == 0 {
					continue
				}
				if errors.Is(write(token), fence.ErrStale) {
					stale++
				}
				select {
				case wrote <- token:
				default:
				}
			}
			ended <- stale
		}()
		old := <-wrote
		require.NoError(t, pause.Stop(cmd.Process))
		has, release := make(chan uint64), make(chan struct{})
		c, err := q.Consume(t.Context(), "t", "g", func(ctx context.Context, d *pubsub.Delivery) error {
			has <- d.Token
			<-release
			return ctx.Err()
		}, &pubsub.ConsumeOptions{Lease: faultLease})
		require.NoError(t, err)
		var token uint64
		select {
		case token = <-has:
		case <-time.After(5 * faultLease):
			t.Fatal("the message of a process that was stopped does not come")
		}
		require.Greater(t, token, old)
		require.NoError(t, write(token))
		require.NoError(t, pause.Resume(cmd.Process))
		stale := <-ended
		require.NoError(t, cmd.Wait(), "it hears that it has lost its message")
		require.Positive(t, stale, "what it wrote then was refused")
		require.NoError(t, write(token))
		close(release)
		require.NoError(t, c.Drain(t.Context()))
		s, err := q.Stats(t.Context(), "t", "g")
		require.NoError(t, err)
		require.Equal(t, pubsub.Stats{}, s)
	})
}

// childWork handles a message, which is to write for as long as it may, and a little longer. It fails if it may for ever.
func childWork(b pubsub.QueueBackend) error {
	lost := make(chan error, 1)
	write := func(d *pubsub.Delivery) { fmt.Println("write", d.Token) }
	_, err := pubsub.NewQueue(b, nil).Consume(context.Background(), "t", "g", func(ctx context.Context, d *pubsub.Delivery) error {
		for ctx.Err() == nil {
			write(d)
			time.Sleep(20 * time.Millisecond)
		}
		write(d)
		lost <- context.Cause(ctx)
		return ctx.Err()
	}, &pubsub.ConsumeOptions{Lease: faultLease})
	if err != nil {
		return err
	}
	select {
	case cause := <-lost:
		if !errors.Is(cause, pubsub.ErrLost) {
			return fmt.Errorf("the handler ended by %w", cause)
		}
		return nil
	case <-time.After(20 * faultLease):
		return errors.New("the context of the handler has not ended")
	}
}
