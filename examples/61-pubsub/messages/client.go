package messages

import (
	"context"
	"slices"
	"sync"

	"github.com/concordkit/concord/pubsub"
)

// client buffers what is published, as clients do that send many messages at once: that of NATS writes what it has a moment
// later, from a goroutine of its own. This one writes when it is flushed, so that what its process takes along when it exits
// is the same each time, on every engine.
type client struct {
	pubsub.BusBackend

	mu     sync.Mutex
	unsent []parcel
}

type parcel struct {
	topic    string
	messages []pubsub.Message
}

// Publish implements pubsub.BusBackend.
func (c *client) Publish(_ context.Context, topic string, ms []pubsub.Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unsent = append(c.unsent, parcel{topic, slices.Clone(ms)})
	return nil
}

// Flush implements pubsub.BusBackend.
func (c *client) Flush(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.unsent) > 0 {
		if err := c.BusBackend.Publish(ctx, c.unsent[0].topic, c.unsent[0].messages); err != nil {
			return err
		}
		c.unsent = c.unsent[1:]
	}
	return c.BusBackend.Flush(ctx)
}
