package breaker_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/breaker"
)

// A breaker that an operator held is dropped like any other once it is let go.
func TestSetDropsWhatWasHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := breaker.NewSet(&breaker.SetOptions{Idle: time.Second})
		require.NoError(t, err)
		b := s.Get("a")
		b.ForceOpen("maintenance")
		time.Sleep(time.Minute)
		require.Equal(t, 1, s.Len())
		b.Reset("done")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Zero(t, s.Len())
	})
}

// Calls that hang for longer than Idle are still in flight.
func TestSetKeepsWhatIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := breaker.NewSet(&breaker.SetOptions{
			Idle: time.Second, Breaker: breaker.Options{Rules: breaker.Rules{InFlight: 1}},
		})
		require.NoError(t, err)
		permit, err := s.Get("a").Allow()
		require.NoError(t, err)
		time.Sleep(time.Hour)
		_, err = s.Get("a").Allow()
		require.ErrorIs(t, err, breaker.ErrOpen)
		permit.Cancel()
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Zero(t, s.Len())
	})
}
