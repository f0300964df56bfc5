package breaker_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/breaker"
)

func newSet(t *testing.T, o *breaker.SetOptions) *breaker.Set {
	t.Helper()
	s, err := breaker.NewSet(o)
	require.NoError(t, err)
	return s
}

func TestSet(t *testing.T) {
	s := newSet(t, &breaker.SetOptions{Breaker: *one()})
	calls(t, s.Get("a"), 1, errDown)
	requireOpen(t, s.Get("a"))
	calls(t, s.Get("b"), 1, nil)
	require.Same(t, s.Get("a"), s.Get("a"))
	require.Equal(t, "a", s.Get("a").Name())
	states := map[string]breaker.State{}
	for key, b := range s.All() {
		states[key] = b.State()
		s.Get("c") // may be called in the loop
	}
	require.Equal(t, map[string]breaker.State{"a": breaker.Open, "b": breaker.Closed}, states)
	require.Equal(t, 3, s.Len())
	for range s.All() {
		break
	}
}

func TestSetDropsTheIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSet(t, &breaker.SetOptions{Idle: time.Minute})
		s.Get("idle")
		used := s.Get("used")
		require.NoError(t, s.Get("open").Trip("", 10*time.Minute))
		s.Get("forced").ForceOpen("")
		s.Get("disabled").Disable("")
		for range 18 {
			time.Sleep(10 * time.Second)
			require.Same(t, used, s.Get("used"))
		}
		require.Equal(t, 4, s.Len())
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		require.Equal(t, 2, s.Len(), "only what an operator holds stays for ever")

		s.Get("forced").Reset("")
		s.Get("disabled").Reset("")
		s.Get("later")
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		require.Zero(t, s.Len())
	})
}

func TestSetThatKeepsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSet(t, &breaker.SetOptions{Idle: -1})
		s.Get("a")
		time.Sleep(1000 * time.Hour)
		require.Equal(t, 1, s.Len())
	})
}

func TestSetOfManyGoroutines(t *testing.T) {
	s := newSet(t, &breaker.SetOptions{Idle: time.Millisecond})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 2000 {
				_ = do(s.Get(fmt.Sprint(i%50)), nil)
			}
		})
	}
	wg.Wait()
}
