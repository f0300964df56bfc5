package election_test

import (
	"testing"
	"time"

	"github.com/concordkit/concord/election/electiontest"
	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/internal/integration/stores"
	"github.com/concordkit/concord/lock"
)

// The suite runs on each engine as it is, and over a slow link.
func TestConformance(t *testing.T) {
	stores.OnEach(t, func(t *testing.T, s stores.Store) {
		for name, f := range map[string]faultproxy.Faults{
			"plain":     {},
			"slow link": {Latency: 10 * time.Millisecond, Jitter: 10 * time.Millisecond},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				electiontest.Run(t, func(t *testing.T) func() lock.Backend {
					return func() lock.Backend {
						links := s.Links(t)
						links.Set(f)
						return s.Connect(t, links)
					}
				}, &electiontest.Options{TTL: ttl})
			})
		}
	})
}
