package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/pubsub"
	"github.com/concordkit/concord/pubsub/mempubsub"
)

// noContext is what a caller may have forgotten to make.
var noContext context.Context

func bubble(t *testing.T, fn func(t *testing.T, bus *pubsub.Bus)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { fn(t, pubsub.NewBus(mempubsub.NewBus(), nil)) })
}

func subscribe(t *testing.T, bus *pubsub.Bus, pattern string, o *pubsub.SubscribeOptions) *pubsub.Subscription {
	t.Helper()
	s, err := bus.Subscribe(t.Context(), pattern, o)
	require.NoError(t, err)
	return s
}

// send publishes the numbers from a to b.
func send(t *testing.T, bus *pubsub.Bus, a, b int) {
	t.Helper()
	for i := a; i <= b; i++ {
		require.NoError(t, bus.Publish(t.Context(), "t", pubsub.Message{Data: fmt.Append(nil, i)}))
	}
}

// read returns what a loop gets until nothing more comes: numbers, gaps as "-n", and the last error.
func read(s *pubsub.Subscription) (got []string, last error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for m, err := range s.All(ctx) {
		gap, ok := errors.AsType[*pubsub.GapError](err)
		switch {
		case ok:
			got = append(got, fmt.Sprint(-gap.Dropped))
		case err != nil:
			last = err
		default:
			got = append(got, string(m.Data))
		}
	}
	return got, last
}

func TestDropOldest(t *testing.T) {
	bubble(t, func(t *testing.T, bus *pubsub.Bus) {
		s := subscribe(t, bus, "t", &pubsub.SubscribeOptions{Buffer: 3})
		send(t, bus, 1, 3)
		got, _ := read(s)
		require.Equal(t, []string{"1", "2", "3"}, got)
		send(t, bus, 1, 10)
		require.Equal(t, 3, s.Pending())
		got, err := read(s)
		require.Equal(t, []string{"-7", "8", "9", "10"}, got)
		require.ErrorIs(t, err, context.DeadlineExceeded, "the loop's own end")
		one := subscribe(t, bus, "t", &pubsub.SubscribeOptions{Buffer: 1})
		send(t, bus, 1, 3)
		got, _ = read(one)
		require.Equal(t, []string{"-2", "3"}, got)
	})
}

func TestDropNewest(t *testing.T) {
	bubble(t, func(t *testing.T, bus *pubsub.Bus) {
		s := subscribe(t, bus, "t", &pubsub.SubscribeOptions{Buffer: 3, Overflow: pubsub.DropNewest})
		send(t, bus, 1, 10)
		for range s.All(t.Context()) { // one
			break
		}
		send(t, bus, 11, 13)
		got, _ := read(s)
		require.Equal(t, []string{"2", "3", "-7", "11", "-2"}, got)
	})
}

func TestDisconnect(t *testing.T) {
	bubble(t, func(t *testing.T, bus *pubsub.Bus) {
		s := subscribe(t, bus, "t", &pubsub.SubscribeOptions{Buffer: 3, Overflow: pubsub.Disconnect})
		other := subscribe(t, bus, "t", nil)
		send(t, bus, 1, 5)
		synctest.Wait()
		got, err := read(s)
		require.Equal(t, []string{"1", "2", "3"}, got)
		require.ErrorIs(t, err, pubsub.ErrOverflow)
		require.EqualError(t, err, `pubsub: subscription of "t": pubsub: subscriber too slow`)
		got, _ = read(other)
		require.Equal(t, []string{"1", "2", "3", "4", "5"}, got)
	})
}

func TestBlock(t *testing.T) {
	bubble(t, func(t *testing.T, bus *pubsub.Bus) {
		s := subscribe(t, bus, "t", &pubsub.SubscribeOptions{Buffer: 2, Overflow: pubsub.Block})
		sent := make(chan int, 10)
		go func() {
			for i := range 6 {
				if bus.Publish(t.Context(), "t", pubsub.Message{Data: fmt.Append(nil, i)}) == nil {
					sent <- i
				}
			}
		}()
		synctest.Wait()
		require.Len(t, sent, 2, "the publisher waits")
		got, _ := read(s)
		require.Equal(t, []string{"0", "1", "2", "3", "4", "5"}, got)

		send(t, bus, 1, 2)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, bus.Publish(ctx, "t", pubsub.Message{}), context.DeadlineExceeded)
		end, stop := context.WithCancel(t.Context())
		ended, err := bus.Subscribe(end, "t", &pubsub.SubscribeOptions{Buffer: 1, Overflow: pubsub.Block})
		require.NoError(t, err)
		read(s)
		send(t, bus, 1, 1)
		go func() {
			time.Sleep(time.Second)
			stop()
		}()
		send(t, bus, 2, 2) // waits for the end of the subscription
		_, err = read(ended)
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestMemoryIsBounded(t *testing.T) {
	for _, o := range []pubsub.Overflow{pubsub.DropOldest, pubsub.DropNewest} {
		bubble(t, func(t *testing.T, bus *pubsub.Bus) {
			s := subscribe(t, bus, "t", &pubsub.SubscribeOptions{Buffer: 16, Overflow: o})
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			for range 100_000 {
				require.NoError(t, bus.Publish(t.Context(), "t", pubsub.Message{Data: make([]byte, 1000)}))
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			require.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(1<<20))
			got, _ := read(s)
			require.Len(t, got, 17)
		})
	}
}

func TestBusClose(t *testing.T) {
	bubble(t, func(t *testing.T, bus *pubsub.Bus) {
		s, unread := subscribe(t, bus, "t", nil), subscribe(t, bus, "t", nil)
		send(t, bus, 1, 3)
		type result struct {
			got []string
			err error
		}
		results := make(chan result, 1)
		go func() {
			time.Sleep(100 * time.Millisecond)
			got, err := read(s)
			results <- result{got, err}
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		err := bus.Close(ctx)
		require.EqualError(t, err, `pubsub: close: 3 messages of "t" were not read: context deadline exceeded`)
		r := <-results
		require.Equal(t, []string{"1", "2", "3"}, r.got)
		require.ErrorIs(t, r.err, pubsub.ErrClosed)
		got, err := read(unread)
		require.Empty(t, got)
		require.ErrorIs(t, err, pubsub.ErrClosed)
		require.ErrorIs(t, bus.Close(t.Context()), pubsub.ErrClosed)
		require.ErrorIs(t, bus.Publish(t.Context(), "t", pubsub.Message{}), pubsub.ErrClosed)
		require.ErrorIs(t, bus.Flush(t.Context()), pubsub.ErrClosed)
		_, err = bus.Subscribe(t.Context(), "t", nil)
		require.ErrorIs(t, err, pubsub.ErrClosed)
	})
}

func TestBusDrain(t *testing.T) {
	bubble(t, func(t *testing.T, bus *pubsub.Bus) {
		s := subscribe(t, bus, "t", nil)
		send(t, bus, 1, 2)
		drained := make(chan error, 1)
		go func() { drained <- s.Drain(t.Context()) }()
		synctest.Wait()
		send(t, bus, 3, 3)
		got, err := read(s)
		require.Equal(t, []string{"1", "2"}, got)
		require.ErrorIs(t, err, pubsub.ErrClosed)
		require.NoError(t, <-drained)
		require.NoError(t, s.Drain(t.Context()))
		require.NoError(t, bus.Close(t.Context()))
	})
}

// gapped is a backend that has lost its connection between two messages.
type gapped struct{ pubsub.BusBackend }

func (gapped) Subscribe(ctx context.Context, _ string, s pubsub.Sink) error {
	s.Active()
	s.Deliver(ctx, "t", []pubsub.Message{{Data: []byte("1")}})
	s.Gap(pubsub.ErrDisconnected)
	s.Gap(errors.New("again"))
	s.Deliver(ctx, "t", []pubsub.Message{{Data: []byte("2")}})
	s.Gap(pubsub.ErrDisconnected)
	return errors.New("no more")
}

func TestGapOfTheEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var traced []string
		bus := pubsub.NewBus(gapped{}, &pubsub.BusOptions{Trace: pubsub.JoinTraces(nil, &pubsub.Trace{
			Gap: func(e *pubsub.GapError) { traced = append(traced, e.Error()) },
		})})
		s := subscribe(t, bus, "t", nil)
		synctest.Wait()
		got, err := read(s)
		require.Equal(t, []string{"1", "0", "2", "0"}, got)
		require.EqualError(t, err, `pubsub: subscription of "t": no more`)
		require.Equal(t, []string{`pubsub: gap in "t": pubsub: disconnected`, `pubsub: gap in "t": pubsub: disconnected`}, traced)
	})
}

func TestLoopsShare(t *testing.T) {
	bubble(t, func(t *testing.T, bus *pubsub.Bus) {
		s := subscribe(t, bus, "t", nil)
		counts := make(chan int, 2)
		for range 2 {
			go func() {
				got, _ := read(s)
				counts <- len(got)
			}()
		}
		send(t, bus, 1, 100)
		require.Equal(t, 100, <-counts+<-counts)
	})
}

func TestBusInput(t *testing.T) {
	bubble(t, func(t *testing.T, bus *pubsub.Bus) {
		for topic, rule := range map[string]string{
			"": "it is empty", "a b": "a space or a control", "a..b": "a token is empty", ".": "a token is empty", "a.": "a token is empty",
			"a.*": "wildcards are for patterns", ">": "wildcards are for patterns", "$JS.API": "the engines'", "_INBOX.x": "the engines'",
			"a\r\nb": "a space or a control", "\xff": "not UTF-8", string(make([]byte, 256)): "256 bytes: want at most 255",
		} {
			err := bus.Publish(t.Context(), topic, pubsub.Message{})
			require.ErrorIs(t, err, pubsub.ErrInvalid)
			require.ErrorContains(t, err, rule)
		}
		for pattern, rule := range map[string]string{
			"a*": "a token of its own", "a.>.b": "stands at the end", "": "it is empty", "*.": "a token is empty", "$SYS.>": "the engines'",
		} {
			_, err := bus.Subscribe(t.Context(), pattern, nil)
			require.ErrorIs(t, err, pubsub.ErrInvalid)
			require.ErrorContains(t, err, rule)
		}
		for _, m := range []pubsub.Message{
			{ID: "a\nb"}, {Key: "\xff"}, {ID: string(make([]byte, 256))}, {Header: pubsub.Header{"": "x"}},
			{Header: pubsub.Header{"a b": "x"}}, {Header: pubsub.Header{"a:b": "x"}}, {Header: pubsub.Header{"a": "x\r\ny"}},
			{Header: pubsub.Header{"ä": "x"}}, {Header: pubsub.Header{"Nats-Msg-Id": "x"}}, {Header: pubsub.Header{"CONCORD-id": "x"}},
			{Header: pubsub.Header{"a": "\xff"}},
		} {
			require.ErrorIs(t, bus.Publish(t.Context(), "t", pubsub.Message{}, m), pubsub.ErrInvalid)
		}
		for _, o := range []pubsub.SubscribeOptions{{Buffer: -1}, {Buffer: 1<<20 + 1}, {Overflow: -1}, {Overflow: 4}} {
			_, err := bus.Subscribe(t.Context(), "t", &o)
			require.ErrorIs(t, err, pubsub.ErrInvalid)
		}
		require.NoError(t, bus.Publish(t.Context(), "t"))
		require.ErrorIs(t, bus.Publish(noContext, "t"), pubsub.ErrInvalid)
		_, err := bus.Subscribe(noContext, "t", nil)
		require.ErrorIs(t, err, pubsub.ErrInvalid)
		require.ErrorIs(t, bus.Close(noContext), pubsub.ErrInvalid)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, bus.Publish(ctx, "t", pubsub.Message{}), context.Canceled)
		_, err = bus.Subscribe(ctx, "t", nil)
		require.ErrorIs(t, err, context.Canceled)
	})
}

// A loop that breaks at a gap has lost nothing but what the gap tells.
func TestBreakAtAGap(t *testing.T) {
	bubble(t, func(t *testing.T, bus *pubsub.Bus) {
		s := subscribe(t, bus, "t", &pubsub.SubscribeOptions{Buffer: 2})
		send(t, bus, 1, 4)
		for _, err := range s.All(t.Context()) {
			require.ErrorIs(t, err, pubsub.ErrGap)
			break
		}
		got, _ := read(s)
		require.Equal(t, []string{"3", "4"}, got)
	})
}

// A loop ends with its context, however many messages wait.
func TestLoopEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T, bus *pubsub.Bus) {
		s := subscribe(t, bus, "t", nil)
		send(t, bus, 1, 100)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		n := 0
		for _, err := range s.All(ctx) {
			if err != nil {
				require.ErrorIs(t, err, context.Canceled)
				break
			}
			n++
			cancel()
		}
		require.Equal(t, 1, n)
		require.Equal(t, 99, s.Pending())
	})
}
