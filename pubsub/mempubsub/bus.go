// Package mempubsub carries messages within this process: for tests, for one process, and for programs that may get an engine
// later.
//
//	bus := pubsub.NewBus(mempubsub.NewBus(), nil)
package mempubsub

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/concordkit/concord/pubsub"
)

// Bus is a [pubsub.BusBackend] in this process. NewBus makes it. Messages go straight into the buffers of the subscriptions, on
// the goroutine that publishes, so there is nothing to flush: Publish returns when all have them, and waits for those with
// [pubsub.Block].
type Bus struct {
	mu    sync.RWMutex
	exact map[string][]*route // by topic; slices are replaced, not changed
	wild  []*route
}

type route struct {
	pattern string
	sink    pubsub.Sink
	ctx     context.Context
}

// NewBus returns a Bus without subscriptions.
func NewBus() *Bus { return &Bus{exact: map[string][]*route{}} }

// Publish implements pubsub.BusBackend. There is no longest message.
func (b *Bus) Publish(ctx context.Context, topic string, ms []pubsub.Message) error {
	b.mu.RLock()
	exact, wild := b.exact[topic], b.wild
	b.mu.RUnlock()
	for _, r := range exact {
		if err := r.deliver(ctx, topic, ms); err != nil {
			return err
		}
	}
	for _, r := range wild {
		if pubsub.Match(r.pattern, topic) {
			if err := r.deliver(ctx, topic, ms); err != nil {
				return err
			}
		}
	}
	return nil
}

// deliver gives ms to a subscription. That it has ended is no error of the publisher's.
func (r *route) deliver(ctx context.Context, topic string, ms []pubsub.Message) error {
	if r.ctx.Err() != nil {
		return nil
	}
	if err := r.sink.Deliver(ctx, topic, ms); err != nil && ctx.Err() != nil {
		return err
	}
	return nil
}

// Flush implements pubsub.BusBackend.
func (b *Bus) Flush(context.Context) error { return nil }

// Subscribe implements pubsub.BusBackend.
func (b *Bus) Subscribe(ctx context.Context, pattern string, s pubsub.Sink) error {
	r := &route{pattern, s, ctx}
	b.change(pattern, func(rs []*route) []*route { return append(slices.Clip(rs), r) })
	s.Active()
	<-ctx.Done()
	b.change(pattern, func(rs []*route) []*route {
		return slices.DeleteFunc(slices.Clone(rs), func(o *route) bool { return o == r })
	})
	return context.Cause(ctx)
}

// change replaces the routes among which those of pattern are.
func (b *Bus) change(pattern string, edit func([]*route) []*route) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if strings.ContainsAny(pattern, "*>") {
		b.wild = edit(b.wild)
		return
	}
	if b.exact[pattern] = edit(b.exact[pattern]); len(b.exact[pattern]) == 0 {
		delete(b.exact, pattern)
	}
}
