package redispubsub

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/pubsub"
)

// nowhere returns a client of a server that is not there.
func nowhere(t *testing.T) *redis.Client {
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialTimeout: time.Second, DialerRetries: 1})
	t.Cleanup(func() { rdb.Close() })
	return rdb
}

func TestQueueOptions(t *testing.T) {
	rdb := nowhere(t)
	for _, o := range []QueueOptions{
		{DedupeWindow: -1}, {DedupeWindow: 25 * time.Hour}, {Partitions: -1}, {Partitions: 257}, {MaxLen: -1}, {MaxLen: 100_000_001},
		{MaxAge: time.Millisecond}, {MaxAge: -time.Hour}, {Prefix: "a{b}"},
	} {
		invalid(t, NewQueue(rdb, &o))
	}
	ring := redis.NewRing(&redis.RingOptions{})
	defer ring.Close()
	for _, rdb := range []redis.UniversalClient{nil, (*redis.Client)(nil), ring} {
		invalid(t, NewQueue(rdb, nil))
	}
}

// invalid requires that every method reports bad options.
func invalid(t *testing.T, q *Queue) {
	t.Helper()
	ctx := t.Context()
	_, err := q.Info(ctx)
	require.ErrorIs(t, err, pubsub.ErrInvalid)
	_, err = q.Join(ctx, "t", "g", pubsub.JoinOptions{Prefetch: 1, Lease: time.Second})
	require.ErrorIs(t, err, pubsub.ErrInvalid)
	_, err = q.Stats(ctx, "t", "g")
	require.ErrorIs(t, err, pubsub.ErrInvalid)
	_, err = q.Dead(ctx, "t", "g", "", 1)
	require.ErrorIs(t, err, pubsub.ErrInvalid)
	_, err = q.Redrive(ctx, pubsub.DeadLetter{Ref: "1-1"})
	require.ErrorIs(t, err, pubsub.ErrInvalid)
	require.ErrorIs(t, q.Publish(ctx, "t", []pubsub.Message{{ID: "x"}}, 0), pubsub.ErrInvalid)
}

func TestQueueInput(t *testing.T) {
	q := NewQueue(nowhere(t), nil)
	_, err := q.Dead(t.Context(), "t", "g", "first", 1)
	require.ErrorIs(t, err, pubsub.ErrInvalid)
	ok, err := q.Redrive(t.Context(), pubsub.DeadLetter{Ref: "mine"})
	require.NoError(t, err)
	require.False(t, ok, "no letter has that Ref")
	_, err = q.Join(t.Context(), "t", "g", pubsub.JoinOptions{Prefetch: 1, Lease: time.Microsecond})
	require.ErrorIs(t, err, pubsub.ErrInvalid)
	half := make([]byte, maxPublish/2)
	err = q.Publish(t.Context(), "t", []pubsub.Message{{Data: half}, {Data: half, Key: "k"}}, 0)
	require.ErrorIs(t, err, pubsub.ErrTooLarge, "a batch is one request")
	err = q.Publish(t.Context(), "t", []pubsub.Message{{ID: "x"}}, 0)
	require.Error(t, err)
	require.NotErrorIs(t, err, pubsub.ErrInvalid, "a server that is away is not the caller's fault")
}

func TestQueueKeysOfATopicShareASlot(t *testing.T) {
	q := NewQueue(nowhere(t), nil)
	for topic, want := range map[string]string{
		"orders": "concord:queue:{orders}", "a{b}c": "concord:queue:{a%7Bb%7Dc}", "{}": "concord:queue:{%7B%7D}", "ü:x": "concord:queue:{%C3%BC%3Ax}",
	} {
		require.Equal(t, want, q.queueKey(topic))
	}
}

func TestQueueAwaitEndsWithItsContext(t *testing.T) {
	hold := make(chan struct{})
	defer close(hold)
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, pubsub.ErrLost)
	defer cancel()
	_, err := queueAwait(ctx, func(context.Context) (int, error) {
		<-hold
		return 1, nil
	})
	require.ErrorIs(t, err, pubsub.ErrLost)
}

func TestQueueHeader(t *testing.T) {
	for _, h := range []pubsub.Header{nil, {"a": "b"}, {"a": "", "B": "x:y", "c": " ü "}} {
		require.Equal(t, h, decodeHeader(encodeHeader(h)))
	}
	require.Equal(t, "B:x:y\na:\n", encodeHeader(pubsub.Header{"a": "", "B": "x:y"}))
}

func FuzzQueueHeader(f *testing.F) {
	f.Add("a", "b", "c", "d")
	f.Add("a", "x:y", "A", "")
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2 string) {
		h := pubsub.Header{k1: v1, k2: v2}
		if pubsub.CheckMessage(&pubsub.Message{Header: h}) != nil {
			t.Skip()
		}
		require.Equal(t, h, decodeHeader(encodeHeader(h)))
	})
}

func TestQueueReplies(t *testing.T) {
	c := &queueConsumer{q: NewQueue(nowhere(t), nil), topic: "t"}
	entry := []any{int64(1), "1700000000000-7", int64(2), "9", []any{"i", "id", "k", "key", "h", "a:b\n", "d", "data", "o", "g"}}
	f, err := c.decodeFound([]any{int64(5), "9", []any{entry}, []any{int64(1), "1-1", int64(2), "2-2"}}, time.Now())
	require.NoError(t, err)
	require.Equal(t, 5*time.Microsecond, f.due)
	require.Equal(t, []string{"concord:queue:{t}:s:1", "concord:queue:{t}:s:2", "1-1", "2-2"}, f.waits)
	m := f.rs[0]
	require.Equal(t, pubsub.Message{ID: "id", Key: "key", Topic: "t", Header: pubsub.Header{"a": "b"}, Data: []byte("data")}, m.Message)
	require.Equal(t, queueReceipt{1, "1700000000000-7", 2}, m.Receipt)
	require.Equal(t, "g", m.only)
	require.Equal(t, time.UnixMilli(1700000000000), m.Published)
	for _, reply := range []any{
		nil, "x", []any{}, []any{int64(5), "0", []any{}, []any{}}, []any{int64(5), "x", []any{}, []any{}}, []any{"5", "9", []any{}, []any{}},
		[]any{int64(5), "9", []any{"entry"}, []any{}}, []any{int64(5), "9", []any{entry[:4]}, []any{}},
	} {
		_, err := c.decodeFound(reply, time.Now())
		require.ErrorIs(t, err, errReply, "%v", reply)
	}
	require.True(t, isEntryID("1-0"))
	for _, s := range []string{"", "1", "-", "1-", "a-1", "1-1-1", "-1-1", strings.Repeat("9", 30) + "-1"} {
		require.False(t, isEntryID(s), s)
	}
}
