package pubsub_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/pubsub"
	"github.com/concordkit/concord/pubsub/pubsubtest"
)

// patience is what a loaded machine needs for a message.
const patience = 4 * time.Second

// The suite runs on each engine as it is, over a slow link, and over one that tears frames.
func TestBusConformance(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, e engine) {
		for name, f := range map[string]faultproxy.Faults{
			"plain":       {},
			"slow link":   {Latency: 3 * time.Millisecond, Jitter: 3 * time.Millisecond},
			"torn frames": {Chunk: 1000},
		} {
			if f != (faultproxy.Faults{}) && len(e.links(t)) == 0 {
				continue
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				o := &pubsubtest.BusOptions{Patience: patience, Large: 256 << 10}
				switch e.(type) {
				case natsEngine:
					o.TooLarge = 1<<20 + 1
				default:
					o.TooLarge = 512<<20 + 1
				}
				pubsubtest.RunBus(t, func(t *testing.T) func() pubsub.BusBackend {
					prefix := rand.Text() + "." // the suites on one server run at the same time
					return func() pubsub.BusBackend {
						links := e.links(t)
						links.Set(f)
						return e.connect(t, links, prefix)
					}
				}, o)
			})
		}
	})
}
