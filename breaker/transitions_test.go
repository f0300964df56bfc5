package breaker_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/breaker"
)

// path writes transitions as the states that they lead to.
func path(ts []breaker.Transition) string {
	var states []string
	for _, t := range ts {
		states = append(states, t.To.String())
	}
	return strings.Join(states, " ")
}

func TestTransitionsInOrder(t *testing.T) {
	bubble(t, one(), func(t *testing.T, b *breaker.Breaker) {
		calls(t, b, 1, errDown)
		stop := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		w := b.Transitions(ctx)
		time.Sleep(5 * time.Second)
		calls(t, b, 1, nil) // before anyone reads
		var seen [2][]breaker.Transition
		var last [2]error
		var wg sync.WaitGroup
		for i := range seen {
			wg.Go(func() {
				for tr, err := range w.All(context.Background()) {
					if last[i] = err; err == nil {
						seen[i] = append(seen[i], tr)
					}
				}
			})
		}
		synctest.Wait()
		b.ForceOpen("test")
		b.Reset("test")
		require.NoError(t, b.Trip("test", time.Minute))
		synctest.Wait()
		cancel(stop)
		wg.Wait()
		for i := range seen {
			require.Equal(t, "half-open closed forced-open closed open", path(seen[i]), "each loop gets all")
			require.ErrorIs(t, last[i], stop)
			from := breaker.Open
			for j, tr := range seen[i] {
				require.EqualValues(t, j+2, tr.Seq)
				require.Equal(t, from, tr.From)
				require.Equal(t, "billing", tr.Name)
				from = tr.To
			}
			require.Equal(t, "billing: open -> half-open: open time over", seen[i][0].String())
			require.Equal(t, "billing: closed -> open: manual (test)", seen[i][4].String())
			require.Equal(t, time.Minute, seen[i][4].OpenFor)
			require.True(t, seen[i][4].At.Equal(time.Now()))
		}
	})
}

func TestTransitionsEnd(t *testing.T) {
	b := newBreaker(t, nil)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	w := b.Transitions(t.Context())
	b.ForceOpen("")
	n := 0
	for _, err := range w.All(ended) {
		require.ErrorIs(t, err, context.Canceled)
		n++
	}
	for _, err := range b.Transitions(ended).All(t.Context()) {
		require.ErrorIs(t, err, context.Canceled)
		n++
	}
	require.Equal(t, 2, n)
	for tr, err := range w.All(t.Context()) {
		require.NoError(t, err, "the end of one loop ends no other")
		require.Equal(t, breaker.ForcedOpen, tr.To)
		break
	}
}

func TestTransitionsOfASlowReader(t *testing.T) {
	b := newBreaker(t, nil)
	w := b.Transitions(t.Context())
	for range 100 {
		b.Reset("")
	}
	for tr := range w.All(t.Context()) {
		require.EqualValues(t, 100-64+1, tr.Seq, "the latest 64 are kept")
		break
	}
}

// A hook may call anything; what it changes comes after what it was called for.
func TestHookMayCallBack(t *testing.T) {
	var b *breaker.Breaker
	var seen []breaker.Transition
	var refused int
	o := one()
	o.Trace = &breaker.Trace{
		Transition: func(tr breaker.Transition) {
			seen = append(seen, tr)
			n := len(seen)
			_ = b.Snapshot()
			switch n {
			case 1:
				_ = b.Trip("hook", time.Minute)
				b.Reset("hook")
				require.Len(t, seen, n, "one at a time")
			case 3:
				b.Disable("hook")
			}
		},
		Refuse: func(context.Context, *breaker.OpenError) {
			refused++
			b.Reset("refused")
		},
	}
	b = newBreaker(t, o)
	calls(t, b, 1, errDown)
	require.Equal(t, "open open closed disabled", path(seen))
	b.ForceOpen("test")
	requireOpen(t, b)
	require.Equal(t, 1, refused)
	require.Equal(t, "open open closed disabled forced-open closed", path(seen))
	for i, tr := range seen {
		require.EqualValues(t, i+1, tr.Seq)
	}
}

// Hooks run one at a time and in order whoever makes the changes.
func TestHooksOfManyGoroutines(t *testing.T) {
	var seen []breaker.Transition // the race detector sees it if two run at once
	b := newBreaker(t, &breaker.Options{Trace: &breaker.Trace{
		Transition: func(tr breaker.Transition) { seen = append(seen, tr) },
	}})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				_ = b.Trip("", 0)
				b.Reset("")
			}
		})
	}
	wg.Wait()
	require.Len(t, seen, 8000)
	for i, tr := range seen {
		require.EqualValues(t, i+1, tr.Seq)
	}
}

// A hook that hangs holds up the call that it was called for, and nobody else.
func TestHookThatHangs(t *testing.T) {
	var hang chan struct{} // of the bubble
	var seen []breaker.Transition
	o := one()
	o.Trace = &breaker.Trace{Transition: func(tr breaker.Transition) {
		<-hang
		seen = append(seen, tr)
	}}
	bubble(t, o, func(t *testing.T, b *breaker.Breaker) {
		hang = make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() { _ = do(b, errDown) })
		synctest.Wait()
		requireOpen(t, b)
		b.Reset("test")
		calls(t, b, 3, nil)
		require.Empty(t, seen)
		close(hang)
		wg.Wait()
		require.Equal(t, "open closed", path(seen))
	})
}

// A hook that panics breaks its promise, and leaves a breaker that works.
func TestHookThatPanics(t *testing.T) {
	bad := true
	o := one()
	o.Trace = &breaker.Trace{Transition: func(breaker.Transition) {
		if bad {
			panic("hook")
		}
	}}
	b := newBreaker(t, o)
	require.PanicsWithValue(t, "hook", func() { _ = do(b, errDown) })
	require.Equal(t, breaker.Open, b.State())
	bad = false
	b.Reset("")
	calls(t, b, 1, nil)
	require.Equal(t, breaker.Closed, b.State())
}

func TestTraces(t *testing.T) {
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	n := 0
	o := one()
	o.Trace = breaker.JoinTraces(nil, &breaker.Trace{}, breaker.LogTrace(log), &breaker.Trace{
		Transition: func(breaker.Transition) { n++ },
		Refuse:     func(context.Context, *breaker.OpenError) { n++ },
	})
	b := newBreaker(t, o)
	calls(t, b, 1, errDown)
	requireOpen(t, b)
	b.Reset("all well")
	require.Equal(t, 3, n)
	require.Equal(t, `level=WARN msg="breaker open" component=breaker name=billing from=closed to=open cause="consecutive failures" open_for=5s
level=DEBUG msg="breaker refused a call" component=breaker name=billing state=open
level=INFO msg="breaker closed" component=breaker name=billing from=open to=closed cause=manual reason="all well"
`, text.String())
}
