package pubsub_test

import (
	"testing"
	"time"

	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/pubsub"
	"github.com/concordkit/concord/pubsub/pubsubtest"
)

// The suite runs on each engine as it is, over a slow link, and over one that tears frames.
func TestBusConformance(t *testing.T) {
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
				o := &pubsubtest.BusOptions{Patience: 4 * time.Second, Large: 256 << 10}
				switch e.(type) {
				case natsEngine:
					o.TooLarge = 1<<20 + 1
				default:
					o.TooLarge = 512<<20 + 1
				}
				pubsubtest.RunBus(t, func(t *testing.T) func() pubsub.BusBackend {
					return func() pubsub.BusBackend {
						links := e.links(t)
						links.Set(f)
						return e.connect(t, links)
					}
				}, o)
			})
		}
	})
}
