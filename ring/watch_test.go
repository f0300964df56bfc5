package ring_test

import (
	"context"
	"errors"
	"iter"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/ring"
)

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRing(t, ring.Slots(6), ring.Node{ID: "a"})
		ctx, cancel := context.WithCancelCause(t.Context())
		w := r.Watch(ctx)
		var seen []ring.Change
		var last error
		done := make(chan struct{})
		go func() {
			defer close(done)
			for c, err := range w.All(context.Background()) {
				if err != nil {
					last = err
					continue
				}
				seen = append(seen, c)
			}
		}()
		synctest.Wait()
		require.Len(t, seen, 1)
		require.Equal(t, []string{"a"}, idsOf(seen[0].Added), "first all that are there")
		for m := range seen[0].Moves() {
			require.Equal(t, "a", m.To)
			require.Empty(t, m.From)
		}
		_, err := r.Add(ring.Node{ID: "b"})
		require.NoError(t, err)
		synctest.Wait()
		require.Len(t, seen, 2)
		require.Equal(t, []string{"b"}, idsOf(seen[1].Added))
		require.Same(t, seen[0].New, seen[1].Old)
		require.Same(t, r.View(), seen[1].New)
		_, err = r.Set(r.View().Nodes())
		require.NoError(t, err)
		synctest.Wait()
		require.Len(t, seen, 2, "nothing has changed")

		stop := errors.New("enough")
		cancel(stop)
		<-done
		require.ErrorIs(t, last, stop)
		require.Len(t, seen, 2)
	})
}

// A watch that has ended yields its error and no more changes.
func TestWatchThatHasEnded(t *testing.T) {
	r := newRing(t, ring.Slots(6), ring.Node{ID: "a"})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, loop := range []iter.Seq2[ring.Change, error]{r.Watch(ended).All(t.Context()), r.Watch(t.Context()).All(ended)} {
		n := 0
		for _, err := range loop {
			require.ErrorIs(t, err, context.Canceled)
			n++
		}
		require.Equal(t, 1, n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	for _, err := range r.Watch(ctx).All(t.Context()) {
		if n++; n == 2 {
			require.ErrorIs(t, err, context.Canceled)
			continue
		}
		cancel()
		_, err := r.Add(ring.Node{ID: "b"})
		require.NoError(t, err)
	}
	require.Equal(t, 2, n)
}

// A loop that is slow gets one change that spans all that it missed, and its own context ends only that loop.
func TestWatchThatIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRing(t, ring.Slots(6), ring.Node{ID: "a"}, ring.Node{ID: "b"})
		w := r.Watch(t.Context())
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		n := 0
		for c, err := range w.All(ctx) {
			switch n++; n {
			case 1:
				for _, id := range []string{"c", "d"} {
					_, err := r.Add(ring.Node{ID: id})
					require.NoError(t, err)
				}
				_, err := r.Remove("c", "a")
				require.NoError(t, err)
			case 2:
				require.NoError(t, err)
				require.Equal(t, []string{"d"}, idsOf(c.Added))
				require.Equal(t, []string{"a"}, idsOf(c.Removed))
				require.EqualValues(t, 4, c.Version)
				cancel()
			case 3:
				require.ErrorIs(t, err, context.Canceled)
			}
		}
		require.Equal(t, 3, n)
		for c, err := range w.All(t.Context()) {
			require.NoError(t, err)
			require.Equal(t, []string{"b", "d"}, idsOf(c.Added), "another loop begins with all")
			break
		}
	})
}
