package mempubsub_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/pubsub"
	"github.com/concordkit/concord/pubsub/mempubsub"
	"github.com/concordkit/concord/pubsub/pubsubtest"
)

func TestQueue(t *testing.T) {
	for _, partitions := range []int{0, 4} {
		t.Run(fmt.Sprint(partitions), func(t *testing.T) {
			pubsubtest.RunQueue(t, func(*testing.T) func() pubsub.QueueBackend {
				b := mempubsub.NewQueue(&mempubsub.QueueOptions{Partitions: partitions})
				return func() pubsub.QueueBackend { return b }
			}, &pubsubtest.QueueOptions{Bubble: synctest.Test})
		})
	}
}

func TestQueueOptions(t *testing.T) {
	for _, o := range []mempubsub.QueueOptions{{DedupeWindow: -1}, {DedupeWindow: 25 * time.Hour}, {Max: -1}, {Partitions: -1}, {Partitions: 257}} {
		q := mempubsub.NewQueue(&o)
		_, err := q.Info(t.Context())
		require.ErrorIs(t, err, pubsub.ErrInvalid)
		require.ErrorIs(t, q.Publish(t.Context(), "t", []pubsub.Message{{ID: "x"}}, 0), pubsub.ErrInvalid)
	}
}

func TestFull(t *testing.T) {
	q := mempubsub.NewQueue(&mempubsub.QueueOptions{Max: 2})
	publish := func(ids ...string) error {
		var ms []pubsub.Message
		for _, id := range ids {
			ms = append(ms, pubsub.Message{ID: id})
		}
		return q.Publish(t.Context(), "t", ms, 0)
	}
	require.NoError(t, publish("1"))
	require.ErrorIs(t, publish("2", "3"), pubsub.ErrFull)
	require.NoError(t, publish("2"))
	require.NoError(t, publish("2", "1", "2"), "they are there already")
	c, err := q.Join(t.Context(), "t", "g", pubsub.JoinOptions{Prefetch: 10, Lease: time.Minute})
	require.NoError(t, err)
	_, err = c.Fetch(t.Context(), 1)
	require.NoError(t, err)
	require.NoError(t, publish("3"), "one was handed out, and is the group's")
	require.ErrorIs(t, publish("4"), pubsub.ErrFull)
}
