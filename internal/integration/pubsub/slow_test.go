package pubsub_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/integration/natsserver"
	"github.com/concordkit/concord/pubsub"
	"github.com/concordkit/concord/pubsub/natspubsub"
)

const (
	flood      = 100_000
	floodBytes = 1 << 10
)

func number(n int) pubsub.Message {
	data := bytes.Repeat([]byte{'x'}, floodBytes)
	binary.BigEndian.PutUint32(data, uint32(n))
	return pubsub.Message{Data: data}
}

// A subscriber that does not read costs bounded memory, holds up nobody, and hears of what it has missed.
func TestSlowSubscriber(t *testing.T) {
	t.Parallel()
	onServers(t, func(t *testing.T, e engine) {
		for _, overflow := range []pubsub.Overflow{pubsub.DropOldest, pubsub.DropNewest, pubsub.Block, pubsub.Disconnect} {
			t.Run(overflow.String(), func(t *testing.T) { slow(t, e, overflow) })
		}
	})
}

func slow(t *testing.T, e engine, overflow pubsub.Overflow) {
	b := newBus(t, e.connect(t, nil, ""))
	in := subscribe(t, b, "slow", &pubsub.SubscribeOptions{Buffer: 100, Overflow: overflow})
	mark := subscribe(t, b, "mark", nil) // shares the connection
	publisher := newBus(t, e.connect(t, nil, ""))
	ms := make([]pubsub.Message, 100)
	for n := 0; n < flood; n += len(ms) {
		for i := range ms {
			ms[i] = number(n + i)
		}
		require.NoError(t, publisher.Publish(t.Context(), "slow", ms...))
		if n%1000 == 0 {
			require.NoError(t, publisher.Flush(t.Context()))
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	require.NoError(t, publisher.Publish(ctx, "mark", pubsub.Message{}))
	for _, err := range mark.All(ctx) {
		if errors.Is(err, pubsub.ErrGap) {
			// A server that could not write for long has closed the connection, and the mark may have been lost with it.
			require.NoError(t, publisher.Publish(ctx, "mark", pubsub.Message{}))
			continue
		}
		require.NoError(t, err, "a slow subscription holds up another one")
		break
	}
	got, err := drained(in)
	if overflow == pubsub.Disconnect {
		require.ErrorIs(t, err, pubsub.ErrOverflow)
		require.Len(t, got, 100)
		return
	}
	missing, wrong := judge(got, map[string]record{"": {n: flood}})
	require.NoError(t, wrong)
	// 64 MiB at the most, see the limits of the packages
	require.Less(t, flood-missing, 64<<20/floodBytes, "too many messages were buffered")
	t.Logf("%d of %d missing", missing, flood)
}

// drained reads until nothing comes.
func drained(in *pubsub.Subscription) (got []seen, last error) {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		n := len(got)
		for m, err := range in.All(ctx) {
			switch {
			case err == nil:
				got = append(got, seen{n: int(binary.BigEndian.Uint32(m.Data))})
			case errors.Is(err, pubsub.ErrGap):
				got = append(got, seen{gap: true})
			default:
				last = err
			}
		}
		ended := ctx.Err() == nil
		cancel()
		if ended || len(got) == n {
			return got, last
		}
	}
}

// Close takes what was flushed, whatever is still coming.
func TestCloseDuringDelivery(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, e engine) {
		publisher := newBus(t, e.connect(t, nil, ""))
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			for n := 0; ctx.Err() == nil; n++ {
				publisher.Publish(ctx, "close", number(n))
			}
		}()
		for range 10 {
			bus := pubsub.NewBus(e.connect(t, nil, ""), nil)
			in := subscribe(t, bus, "close", &pubsub.SubscribeOptions{Buffer: 10, Overflow: pubsub.Block})
			closed := make(chan error, 1)
			n := 0
			for m, err := range in.All(t.Context()) {
				if errors.Is(err, pubsub.ErrClosed) {
					break
				}
				require.NoError(t, err)
				require.Equal(t, "close", m.Topic)
				if n++; n == 20 {
					go func() { closed <- bus.Close(t.Context()) }()
				}
			}
			require.NoError(t, <-closed)
			require.GreaterOrEqual(t, n, 20)
		}
		stop()
		<-done
	})
}

// What comes while the servers of a cluster tell each other of a subscription is not kept: it may be more than there is room for.
func TestNATSBusKeepsNothingEarly(t *testing.T) {
	t.Parallel()
	c := natsserver.Start(t, 3)
	subscriber := newBus(t, natspubsub.NewBus(c.Dial(t), &natspubsub.BusOptions{Settle: 2 * time.Second}))
	publisher := newBus(t, natspubsub.NewBus(c.Dial(t), nil))
	early := time.AfterFunc(500*time.Millisecond, func() {
		publisher.Publish(t.Context(), "early", number(1))
		publisher.Flush(t.Context())
	})
	in := subscribe(t, subscriber, "early", nil)
	require.False(t, early.Stop(), "nothing was published while it subscribed")
	require.NoError(t, publisher.Publish(t.Context(), "early", number(2)))
	require.NoError(t, publisher.Flush(t.Context()))
	got, _ := drained(in)
	require.Equal(t, []seen{{n: 2}}, got)
}
