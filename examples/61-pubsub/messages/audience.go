package messages

import (
	"context"
	"errors"

	"github.com/concordkit/concord/pubsub"
)

// theEnd is the ID of a message that says that no more will come.
const theEnd = "the end"

// audience is a process that subscribes.
type audience struct {
	bus   *pubsub.Bus
	sub   *pubsub.Subscription
	topic string
	leave func()
	gaps  int
}

// newAudience returns when the subscription is active: what is published from now on comes.
func newAudience(ctx context.Context, e engine, topic string) (*audience, error) {
	bus := pubsub.NewBus(e.bus, nil)
	ctx, cancel := context.WithCancel(ctx)
	sub, err := bus.Subscribe(ctx, topic, nil)
	if err != nil {
		cancel()
		return nil, err
	}
	return &audience{bus: bus, sub: sub, topic: topic, leave: cancel}, nil
}

// listen returns the IDs of what has come, once the publisher has ended. It sends the last message by itself, so that the
// example need not wait for something that does not come.
func (a *audience) listen(ctx context.Context) (ids []string, err error) {
	if err := a.bus.Publish(ctx, a.topic, pubsub.Message{ID: theEnd}); err != nil {
		return nil, err
	}
	if err := a.bus.Flush(ctx); err != nil {
		return nil, err
	}
	for m, err := range a.sub.All(ctx) {
		if errors.Is(err, pubsub.ErrGap) {
			a.gaps++ // something may be missing: an application looks at the source
			continue
		}
		if err != nil {
			return ids, err
		}
		if m.ID == theEnd {
			break
		}
		ids = append(ids, m.ID)
	}
	return ids, nil
}
