package messages_test

import (
	"bytes"
	"context"
	"io"
	"testing"
	"testing/synctest"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/concordkit/concord/examples/61-pubsub/messages"
	"github.com/concordkit/concord/examples/servers/lab"
)

const transcript = `A Bus, used as one does at first:
  a publisher sends 5 orders and exits: its subscriber gets 0 of them
  a subscriber comes after 3 of 5 orders: it gets 2, and nobody tells it of the others

A Bus, subscribed to before and closed after:
  the publisher sends 5 orders, closes its Bus and exits: its subscriber gets 5
  in order: true, gaps: 0

A Queue, one of whose workers is killed:
  5 orders are stored, and no worker is there yet
  order 1: done by A, attempt 1
  order 2: A is killed half-way, done by B, attempt 2
  order 3: done by B, attempt 1
  order 4: fails, fails, fails, then B gives it up
  order 5: done by B, attempt 1

What could not be handled, looked at and put back:
  order 4, tried 3 times: no price for a book
  C knows the price; put back: true
  order 4: done by C, attempt 1
  dead letters left: 0
`

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// In memory nothing is left that runs, or the bubble would not end.
func TestTranscript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		require.Equal(t, transcript, play(t, messages.Options{}))
	})
}

// On servers it goes as in memory, and nothing is left there.
func TestServers(t *testing.T) {
	l, err := lab.Start(lab.Options{Redis: "127.0.0.1:0", Etcd: "127.0.0.1:0", NATS: "127.0.0.1:0"})
	require.NoError(t, err)
	defer l.Close()

	t.Run("redis", func(t *testing.T) {
		require.Equal(t, transcript, play(t, messages.Options{Engine: "redis", Addr: l.Redis}))
		rdb := redis.NewClient(&redis.Options{Addr: l.Redis})
		defer rdb.Close()
		keys, err := rdb.Keys(t.Context(), "*").Result()
		require.NoError(t, err)
		require.Empty(t, keys)
	})
	t.Run("nats", func(t *testing.T) {
		require.Equal(t, transcript, play(t, messages.Options{Engine: "nats", Addr: l.NATS}))
		nc, err := nats.Connect(l.NATS)
		require.NoError(t, err)
		defer nc.Close()
		js, err := jetstream.New(nc)
		require.NoError(t, err)
		for name := range js.StreamNames(t.Context()).Name() {
			require.Regexp(t, "^KV_", name, "only the bucket of the locks' examples may stay")
		}
	})
}

func play(t *testing.T, o messages.Options) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, messages.Run(t.Context(), &out, o))
	return out.String()
}

func TestUnknownEngine(t *testing.T) {
	err := messages.Run(t.Context(), io.Discard, messages.Options{Engine: "etcd"})
	require.ErrorContains(t, err, `engine "etcd": want mem, redis or nats`)
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, messages.Run(ctx, io.Discard, messages.Options{}), context.Canceled)
}
