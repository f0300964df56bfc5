package redislock

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concordkit/concord/lock"
)

// run subscribes again and again until ctx ends. A connection that lasts earns the next one a short pause.
func (k *link) run(ctx context.Context) {
	pause := minPause
	for ctx.Err() == nil {
		ps := k.open(ctx)
		if ps == nil {
			return
		}
		start := time.Now()
		err := k.receive(ctx, ps)
		ps.Close()
		if !k.broken(ctx, ps, err) {
			return
		}
		if time.Since(start) > maxPause {
			pause = minPause
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, maxPause)
	}
}

func (k *link) open(ctx context.Context) *redis.PubSub {
	k.mu.Lock()
	if ctx.Err() != nil {
		k.mu.Unlock()
		return nil
	}
	ps := k.rdb.Subscribe(ctx) // dials at the first Subscribe with a name
	k.ps = ps
	names := make([]string, 0, len(k.topics))
	for name := range k.topics {
		names = append(names, name)
	}
	k.mu.Unlock()
	ps.Subscribe(ctx, names...) // an error shows in receive
	return ps
}

// broken marks all topics as down. Where the server refuses to subscribe, or the client is closed, whoever waits for a topic
// is told. It reports false when the link must not try again.
func (k *link) broken(ctx context.Context, ps *redis.PubSub, err error) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if ctx.Err() != nil || k.ps != ps {
		return false
	}
	k.ps = nil
	closed := errors.Is(err, redis.ErrClosed)
	for name, t := range k.topics {
		if !t.up && !closed && !certain(err) {
			continue // still waited for
		}
		if !t.up {
			t.err = err
			close(t.ready)
		}
		k.topics[name] = &topic{ready: make(chan struct{})}
	}
	if closed {
		k.halt()
	}
	return !closed
}

// receive handles what comes until the connection breaks, and returns why it did.
func (k *link) receive(ctx context.Context, ps *redis.PubSub) error {
	asked := false
	for {
		m, err := ps.ReceiveTimeout(ctx, quiet)
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() && !asked {
			asked = true
			go k.rdb.Publish(ctx, k.own(), "") // no grant; that it comes back is the point
			continue
		}
		if err != nil {
			return err
		}
		asked = false
		switch m := m.(type) {
		case *redis.Subscription:
			if m.Kind == "subscribe" {
				k.subscribed(m.Channel)
			} else {
				k.unsubscribed(ps, m.Channel)
			}
		case *redis.Message:
			k.message(m.Channel, m.Payload)
		}
	}
}

// unsubscribed subscribes again to a channel that was wanted anew while it was let go.
func (k *link) unsubscribed(ps *redis.PubSub, channel string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if t := k.topics[channel]; t != nil && k.ps == ps {
		if t.up {
			k.topics[channel] = &topic{ready: make(chan struct{})}
		}
		go ps.Subscribe(context.Background(), channel)
	}
}

// subscribed makes everyone look for what was pushed before the subscription stood.
func (k *link) subscribed(channel string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	t := k.topics[channel]
	if t == nil || t.up {
		return
	}
	t.up = true
	close(t.ready)
	k.hint(channel)
	if channel == k.own() {
		for _, notify := range k.waits {
			go notify(lock.State{}) // looks again; k.mu must not be held for it
		}
	}
}

func (k *link) message(channel, payload string) {
	if channel != k.own() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.hint(channel)
		return
	}
	id, token, ok := decodePush(payload)
	if !ok {
		return // not ours: a renewal tells the truth
	}
	k.mu.Lock()
	notify := k.waits[id]
	k.drop(id)
	k.mu.Unlock()
	switch {
	case notify == nil:
	case k.verify:
		notify(lock.State{})
	default:
		notify(lock.State{Phase: lock.Held, Token: token})
	}
}

// hint wakes the watchers of a channel; one that is awake looks once more. k.mu is held.
func (k *link) hint(channel string) {
	for _, h := range k.hints[channel] {
		select {
		case h <- struct{}{}:
		default:
		}
	}
}
