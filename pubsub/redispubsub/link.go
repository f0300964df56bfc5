package redispubsub

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concordkit/concord/pubsub"
)

// Pauses between tries to connect again.
const minPause, maxPause = 20 * time.Millisecond, time.Second

// link is the one connection of all subscriptions of a Bus. One goroutine reads, one writes, and one checks that what is published
// arrives. A connection that fails is replaced by another one, never mended: go-redis would do that without a word.
type link struct {
	bus    *Bus
	cancel context.CancelFunc
	done   chan struct{}
	wake   chan struct{} // has one when the writer shall look
	echo   chan struct{} // has one when a message to ourselves has arrived

	mu     sync.Mutex
	topics map[route]*topic
	gone   []*topic // to unsubscribe from
	asked  []ask    // what the server has not answered, in order
	wanted int      // subscriptions
	own    *topic   // a channel that nobody else has
}

type ask struct {
	t    *topic
	kind string
}

func startLink(b *Bus) *link {
	ctx, cancel := context.WithCancel(context.Background())
	k := &link{
		bus: b, cancel: cancel, done: make(chan struct{}), wake: make(chan struct{}, 1), echo: make(chan struct{}, 1),
		topics: map[route]*topic{},
	}
	// No topic begins with an underscore, so nobody is shown this one.
	k.own = &topic{route: route{name: b.prefix + "_concord." + rand.Text()}}
	k.topics[k.own.route] = k.own
	go func() {
		defer close(k.done)
		k.run(ctx)
	}()
	return k
}

// join adds a subscription.
func (k *link) join(in *intake, r route) {
	k.mu.Lock()
	defer k.mu.Unlock()
	t := k.topics[r]
	if t == nil {
		t = &topic{route: r}
		k.topics[r] = t
		k.look()
	}
	t.subs = append(t.subs, in)
	in.at = t
	k.wanted++
	if t.up {
		in.active = true
		close(in.ready)
	}
}

// leave takes a subscription out and reports whether it was the last.
func (k *link) leave(in *intake) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	t := in.at
	t.subs = t.without(in)
	if len(t.subs) == 0 && k.topics[t.route] == t {
		delete(k.topics, t.route)
		if t.asked {
			k.gone = append(k.gone, t)
			k.look()
		}
	}
	k.wanted--
	return k.wanted == 0
}

func (k *link) look() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// run connects again and again until ctx ends. A connection that lasts earns the next one a short pause.
func (k *link) run(ctx context.Context) {
	pause := minPause
	for ctx.Err() == nil {
		start := time.Now()
		err := k.session(ctx)
		if ctx.Err() != nil {
			return
		}
		k.down(err)
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

// session is the time of one connection. It returns why that ended.
func (k *link) session(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	ps := k.bus.rdb.Subscribe(ctx) // dials when it is used
	var all sync.WaitGroup
	all.Go(func() { cancel(k.read(ctx, ps)) })
	all.Go(func() { cancel(k.write(ctx, ps)) })
	all.Go(func() { cancel(k.check(ctx, ps)) })
	k.look()
	<-ctx.Done()
	ps.Close() // ends the read
	all.Wait()
	return context.Cause(ctx)
}

// down notes that the connection is gone. Who waits to become active is told why.
func (k *link) down(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked, k.gone = nil, nil
	closed := errors.Is(err, redis.ErrClosed)
	for _, t := range k.topics {
		t.asked, t.up = false, false
		for _, in := range t.subs {
			if closed || !in.active {
				in.fail(err)
			}
		}
	}
}

// write asks for what is wanted, one by one, so that it is known which one the server refuses.
func (k *link) write(ctx context.Context, ps *redis.PubSub) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-k.wake:
		}
		for {
			a, ok := k.next()
			if !ok {
				break
			}
			if err := a.send(ctx, ps); err != nil {
				return err
			}
		}
	}
}

// next returns what to ask for next.
func (k *link) next() (ask, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.gone) > 0 {
		a := ask{k.gone[0], "unsubscribe"}
		k.gone = k.gone[1:]
		return k.ask(a), true
	}
	for _, t := range k.topics {
		if !t.asked {
			t.asked = true
			return k.ask(ask{t, "subscribe"}), true
		}
	}
	return ask{}, false
}

func (k *link) ask(a ask) ask {
	if a.t.glob {
		a.kind = "p" + a.kind
	}
	k.asked = append(k.asked, a)
	return a
}

func (a ask) send(ctx context.Context, ps *redis.PubSub) error {
	switch a.kind {
	case "subscribe":
		return ps.Subscribe(ctx, a.t.name)
	case "psubscribe":
		return ps.PSubscribe(ctx, a.t.name)
	case "unsubscribe":
		return ps.Unsubscribe(ctx, a.t.name)
	}
	return ps.PUnsubscribe(ctx, a.t.name)
}

// read takes what comes.
func (k *link) read(ctx context.Context, ps *redis.PubSub) error {
	for {
		m, err := ps.ReceiveTimeout(ctx, k.bus.silence)
		if reply, ok := errors.AsType[redis.Error](err); ok {
			if !k.refused(reply) {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *redis.Subscription:
			if !k.confirmed(m) {
				return errReconnected
			}
		case *redis.Message:
			k.message(m)
		}
	}
}

// refused ends the subscriptions that the server refuses: those that it was asked for first.
func (k *link) refused(err error) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.asked) == 0 {
		return false
	}
	t := k.asked[0].t
	k.asked = k.asked[1:]
	for _, in := range t.subs {
		in.fail(err)
	}
	if k.topics[t.route] == t && t != k.own {
		delete(k.topics, t.route)
	}
	return true
}

// confirmed reports whether m is the answer that was due. Messages of the topic come after it.
func (k *link) confirmed(m *redis.Subscription) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.asked) == 0 || k.asked[0].kind != m.Kind || k.asked[0].t.name != m.Channel {
		return false
	}
	t := k.asked[0].t
	k.asked = k.asked[1:]
	if m.Kind != "subscribe" && m.Kind != "psubscribe" {
		return true
	}
	t.up = true
	for _, in := range t.subs {
		if in.active {
			in.missing(pubsub.ErrDisconnected)
			continue
		}
		in.active = true
		close(in.ready)
	}
	return true
}

func (k *link) message(m *redis.Message) {
	r := route{m.Channel, false}
	if m.Pattern != "" {
		r = route{m.Pattern, true}
	}
	if r == k.own.route {
		select {
		case k.echo <- struct{}{}:
		default:
		}
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	t := k.topics[r]
	if t == nil || !t.up {
		return
	}
	decoded := decode(m.Payload)
	for _, in := range t.subs {
		in.take(m.Channel, decoded, r.glob)
	}
}

// check pings the server, so that a dead connection is silent, and publishes to itself, since a connection may be alive and lead to a
// server that was the master once.
func (k *link) check(ctx context.Context, ps *redis.PubSub) error {
	tick := time.NewTicker(k.bus.silence / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if err := ps.Ping(ctx); err != nil {
			return err
		}
		k.mu.Lock()
		up := k.own.up
		k.mu.Unlock()
		if !up {
			continue
		}
		select {
		case <-k.echo:
		default:
		}
		if err := k.bus.rdb.Process(ctx, newPublish(ctx, k.own.name, nil)); err != nil {
			continue // it may be forbidden; publishers see for themselves
		}
		select {
		case <-k.echo:
		case <-ctx.Done():
		case <-time.After(k.bus.silence):
			return fmt.Errorf("%w: what was published did not come", errSilent)
		}
	}
}
