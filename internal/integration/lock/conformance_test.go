package lock_test

import (
	"testing"
	"time"

	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/internal/integration/stores"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/locktest"
)

// The suite runs on each engine as it is, over a slow link, and over one that tears frames.
func TestConformance(t *testing.T) {
	stores.OnEach(t, func(t *testing.T, s stores.Store) {
		for name, f := range map[string]faultproxy.Faults{
			"plain":       {},
			"slow link":   {Latency: 10 * time.Millisecond, Jitter: 10 * time.Millisecond},
			"torn frames": {Chunk: 7},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				conformance(t, s, f)
			})
		}
	})
}

func conformance(t *testing.T, s stores.Store, f faultproxy.Faults) {
	locktest.Run(t, func(t *testing.T) func() lock.Backend {
		return func() lock.Backend {
			links := s.Links(t)
			links.Set(f)
			return s.Connect(t, links)
		}
	}, &locktest.Options{TTL: ttl})
}
