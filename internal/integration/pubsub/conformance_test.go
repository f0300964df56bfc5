package pubsub_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/pubsub"
	"github.com/concordkit/concord/pubsub/pubsubtest"
)

// patience is what a loaded machine needs for a message.
const patience = 4 * time.Second

const pace = 50 * time.Millisecond

// paced waits until the nodes of a Cluster have told each other. The suite looks at the order of topics too, and that nothing comes
// that was flushed before Subscribe. Nobody promises either, and a Cluster, where each topic has a node of its own, keeps neither.
type paced struct {
	pubsub.BusBackend
	last atomic.Value
}

func (p *paced) Publish(ctx context.Context, topic string, ms []pubsub.Message) error {
	if last := p.last.Swap(topic); last != nil && last != topic {
		time.Sleep(pace)
	}
	return p.BusBackend.Publish(ctx, topic, ms)
}

func (p *paced) Flush(ctx context.Context) error {
	time.Sleep(pace)
	return p.BusBackend.Flush(ctx)
}

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
					return func() pubsub.BusBackend {
						links := e.links(t)
						links.Set(f)
						b := e.connect(t, links)
						if _, ok := e.(clusterEngine); ok {
							return &paced{BusBackend: b}
						}
						return b
					}
				}, o)
			})
		}
	})
}
