package ring_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/ring"
	"github.com/concordkit/concord/ring/ringtest"
)

var errRefused = errors.New("refused")

func someKeys(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = ringtest.Key(i)
	}
	return keys
}

// Each node is called once, with the keys that it is a replica of.
func TestBatchCallsEachNodeOnce(t *testing.T) {
	v := newRing(t, ring.Slots(8), zoned(9)...).View()
	keys := someKeys(100)
	var mu sync.Mutex
	got := map[string][]string{}
	all := make(chan error, 1)
	err := ring.Batch(t.Context(), v, keys, func(_ context.Context, n ring.Node, of []int) error {
		mu.Lock()
		defer mu.Unlock()
		if _, twice := got[n.ID]; twice || !slices.IsSorted(of) {
			return fmt.Errorf("node %s: called twice, or with keys %v", n.ID, of)
		}
		for _, i := range of {
			got[n.ID] = append(got[n.ID], keys[i])
		}
		return nil
	}, &ring.BatchOptions{Done: func(err error) { all <- err }})
	require.NoError(t, err)
	require.NoError(t, <-all)
	for _, key := range keys {
		for n := range v.Replicas(key, 3) {
			require.Contains(t, got[n.ID], key)
		}
	}
	total := 0
	for _, keys := range got {
		total += len(keys)
	}
	require.Equal(t, 300, total)
}

func TestBatchReturnsAtTheQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newRing(t, ring.Slots(8), ringtest.Nodes(3)...).View()
		slow := v.Nodes()[1].ID
		start := time.Now()
		all := make(chan error, 1)
		err := ring.Batch(t.Context(), v, someKeys(10), func(_ context.Context, n ring.Node, _ []int) error {
			time.Sleep(time.Second)
			if n.ID == slow {
				time.Sleep(time.Hour)
				return errRefused
			}
			return nil
		}, &ring.BatchOptions{Done: func(err error) { all <- err }})
		require.NoError(t, err)
		require.Equal(t, time.Second, time.Since(start), "two of three suffice")
		require.ErrorIs(t, <-all, errRefused, "Done tells what became of the rest")
		require.Equal(t, time.Hour+time.Second, time.Since(start))
	})
}

// A key whose replicas fail is an error as soon as that is sure, though all other keys succeed.
func TestBatchCountsForEachKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newRing(t, ring.Slots(8), ringtest.Nodes(30)...).View()
		keys := someKeys(50)
		broken := idsOf(v.AppendReplicas(nil, keys[7], 3))[1:]
		start := time.Now()
		err := ring.Batch(t.Context(), v, keys, func(_ context.Context, n ring.Node, _ []int) error {
			if slices.Contains(broken, n.ID) {
				return errRefused
			}
			time.Sleep(time.Minute)
			return nil
		}, nil)
		require.ErrorIs(t, err, ring.ErrQuorum)
		require.ErrorIs(t, err, errRefused)
		require.ErrorContains(t, err, `: 2 of 3 replicas failed: want 2 to succeed`)
		require.Zero(t, time.Since(start))
		time.Sleep(time.Minute) // for the others

		err = ring.Batch(t.Context(), v, keys, func(_ context.Context, n ring.Node, _ []int) error {
			if n.ID == broken[0] {
				return errRefused
			}
			return nil
		}, nil)
		require.NoError(t, err, "one of three may fail")
		err = ring.Batch(t.Context(), v, keys, func(_ context.Context, n ring.Node, _ []int) error {
			if n.ID == broken[0] {
				return errRefused
			}
			return nil
		}, &ring.BatchOptions{Quorum: 3})
		require.ErrorIs(t, err, ring.ErrQuorum)
	})
}

func TestBatchEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("too slow"))
		defer cancel()
		v := newRing(t, ring.Slots(8), ringtest.Nodes(3)...).View()
		all := make(chan error, 1)
		err := ring.Batch(ctx, v, someKeys(1), func(context.Context, ring.Node, []int) error {
			time.Sleep(time.Minute) // heeds nothing
			return nil
		}, &ring.BatchOptions{Done: func(err error) { all <- err }})
		require.ErrorContains(t, err, "too slow")
		require.NoError(t, <-all)
	})
}

func TestBatchSurvivesItsCalls(t *testing.T) {
	v := newRing(t, ring.Slots(8), ringtest.Nodes(3)...).View()
	err := ring.Batch(t.Context(), v, someKeys(3), func(context.Context, ring.Node, []int) error { panic("oops") }, nil)
	require.ErrorIs(t, err, ring.ErrQuorum)
	require.ErrorContains(t, err, `: panic: oops`)
	err = ring.Batch(t.Context(), v, someKeys(3), func(context.Context, ring.Node, []int) error { panic(errRefused) }, nil)
	require.ErrorIs(t, err, errRefused)
	err = ring.Batch(t.Context(), v, someKeys(3), func(context.Context, ring.Node, []int) error {
		runtime.Goexit()
		return nil
	}, nil)
	require.ErrorIs(t, err, ring.ErrQuorum)
	require.ErrorContains(t, err, "ended its goroutine")
}

// Whoever cancels in Done, as the documentation says, does not turn a success into a failure.
func TestBatchThatIsCancelledInDone(t *testing.T) {
	v := newRing(t, ring.Slots(8), ringtest.Nodes(3)...).View()
	fine := func(context.Context, ring.Node, []int) error { return nil }
	for i := range 20_000 {
		ctx, cancel := context.WithCancel(t.Context())
		require.NoError(t, ring.Batch(ctx, v, someKeys(i%3), fine, &ring.BatchOptions{Done: func(error) { cancel() }}))
	}
}

func TestBatchInput(t *testing.T) {
	v := newRing(t, ring.Slots(8), ringtest.Nodes(2)...).View()
	fine := func(context.Context, ring.Node, []int) error { return nil }
	never := func(context.Context, ring.Node, []int) error { t.Error("called"); return nil }
	done := make(chan error, 1)
	require.NoError(t, ring.Batch(t.Context(), v, nil, never, &ring.BatchOptions{Done: func(err error) { done <- err }}))
	require.NoError(t, <-done, "called also where there is nothing to do")
	require.ErrorIs(t, ring.Batch(t.Context(), v, someKeys(1), never, &ring.BatchOptions{
		Quorum: 3, Done: func(err error) { done <- err },
	}), ring.ErrQuorum)
	require.NoError(t, <-done, "and where nothing can be done")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, ring.Batch(ctx, v, someKeys(1), never, nil), context.Canceled)
	require.NoError(t, ring.Batch(t.Context(), v, someKeys(5), fine, nil), "two nodes are a quorum of three")
	for says, o := range map[string]*ring.BatchOptions{
		"-1 replicas: want 1 to 65535":              {Replicas: -1},
		"quorum of 4: want 1 to the replicas, 3":    {Quorum: 4},
		"quorum of -1: want 1 to the replicas, 3":   {Quorum: -1},
		`key "user:0" has 2 replicas: want 3`:       {Replicas: 5},
		`ring: no quorum: key "user:0" has 2 repli`: {Quorum: 3},
	} {
		require.ErrorContains(t, ring.Batch(t.Context(), v, someKeys(5), never, o), says)
	}
	require.ErrorContains(t, ring.Batch(t.Context(), nil, someKeys(1), never, nil), "nil View")
	require.ErrorContains(t, ring.Batch(t.Context(), v, someKeys(1), nil, nil), "nil call")
}
