package messages

import (
	"context"
	"errors"

	"github.com/concordkit/concord/pubsub"
)

// process is a backend in a process that can be killed: nothing comes from it any more.
type process struct {
	pubsub.QueueBackend
	dead    context.Context
	kill    context.CancelFunc
	settled chan struct{} // tells of an Ack, unless nobody has asked since the one before
}

var errKilled = errors.New("killed")

func newProcess(b pubsub.QueueBackend) *process {
	dead, kill := context.WithCancel(context.Background())
	return &process{b, dead, kill, make(chan struct{}, 1)}
}

// Join implements pubsub.QueueBackend.
func (p *process) Join(ctx context.Context, topic, group string, o pubsub.JoinOptions) (pubsub.QueueConsumer, error) {
	c, err := p.QueueBackend.Join(ctx, topic, group, o)
	return &mortal{c, p}, err
}

// mortal is a consumer of a process. Its Close, when all is over, is the real one.
type mortal struct {
	pubsub.QueueConsumer
	p *process
}

// Fetch implements pubsub.QueueConsumer.
func (m *mortal) Fetch(ctx context.Context, n int) ([]pubsub.Received, error) {
	if m.p.dead.Err() != nil {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	return m.QueueConsumer.Fetch(ctx, n)
}

// Ack implements pubsub.QueueConsumer.
func (m *mortal) Ack(ctx context.Context, rs []pubsub.Receipt) error {
	if m.p.dead.Err() != nil {
		return errKilled
	}
	err := m.QueueConsumer.Ack(ctx, rs)
	if err == nil {
		select {
		case m.p.settled <- struct{}{}:
		default:
		}
	}
	return err
}

// Extend implements pubsub.QueueConsumer.
func (m *mortal) Extend(ctx context.Context, rs []pubsub.Receipt) ([]bool, error) {
	if m.p.dead.Err() != nil {
		return nil, errKilled
	}
	return m.QueueConsumer.Extend(ctx, rs)
}

// Bury implements pubsub.QueueConsumer.
func (m *mortal) Bury(ctx context.Context, r pubsub.Receipt, d pubsub.DeadLetter) (bool, error) {
	if m.p.dead.Err() != nil {
		return false, errKilled
	}
	return m.QueueConsumer.Bury(ctx, r, d)
}

// Release implements pubsub.QueueConsumer.
func (m *mortal) Release(ctx context.Context, rs []pubsub.Receipt) error {
	if m.p.dead.Err() != nil {
		return errKilled
	}
	return m.QueueConsumer.Release(ctx, rs)
}
