package redispubsub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concordkit/concord/pubsub"
	"github.com/concordkit/concord/pubsub/internal/feed"
)

const (
	// maxPayload is what Redis takes for one string, by default.
	maxPayload = 512 << 20
	// inFlight and inFlightBytes bound what one round trip of a batch carries.
	inFlight      = 1000
	inFlightBytes = 8 << 20
	maxPrefix     = 255
	// defaultSilence is long enough that a loaded server answers a ping in it, and short enough to notice a dead link.
	defaultSilence = 10 * time.Second
	minSilence     = 100 * time.Millisecond
)

var (
	// errSilent ends a connection on which nothing came for too long.
	errSilent = errors.New("redispubsub: the connection is silent")
	// errReconnected ends a connection that the client has replaced without a word.
	errReconnected = errors.New("redispubsub: the client has reconnected")
)

// BusOptions configure [NewBus]. A nil *BusOptions means the defaults.
type BusOptions struct {
	// Prefix comes before each topic in its channel, at most 255 bytes without "*". It is empty, so that topics are channels.
	Prefix string
	// Silence is how long nothing may come on the connection of the subscriptions, not even the answer to the pings that are
	// sent every third of it, before the connection counts as dead and another one is made: a gap. A message must come whole
	// in that time. It is at least 100 ms and defaults to 10 s.
	Silence time.Duration
}

// Bus is a [pubsub.BusBackend] on Redis pub/sub. [NewBus] makes it. While it has subscriptions it has one connection for them all.
type Bus struct {
	rdb     redis.UniversalClient
	prefix  string
	silence time.Duration
	err     error

	mu   sync.Mutex
	link *link // nil without subscriptions
}

// NewBus returns a Bus on rdb, which stays the caller's: one server, a master that Sentinels watch, or a Cluster. It does no I/O. A
// nil client, a *redis.Ring, whose servers do not share channels, and a bad option are reported by every call.
func NewBus(rdb redis.UniversalClient, o *BusOptions) *Bus {
	if o == nil {
		o = new(BusOptions)
	}
	b := &Bus{rdb: rdb, prefix: o.Prefix, silence: cmp.Or(o.Silence, defaultSilence)}
	_, ring := rdb.(*redis.Ring)
	v := reflect.ValueOf(rdb)
	switch {
	case rdb == nil || v.Kind() == reflect.Pointer && v.IsNil():
		b.err = fmt.Errorf("%w: nil client", pubsub.ErrInvalid)
	case ring:
		b.err = fmt.Errorf("%w: a redis.Ring spreads channels over servers that do not know each other", pubsub.ErrInvalid)
	case len(b.prefix) > maxPrefix || strings.Contains(b.prefix, "*"):
		b.err = fmt.Errorf("%w: Prefix %.40q: want at most %d bytes without *", pubsub.ErrInvalid, b.prefix, maxPrefix)
	case b.silence < minSilence:
		b.err = fmt.Errorf("%w: Silence %v: want at least %v", pubsub.ErrInvalid, b.silence, minSilence)
	}
	return b
}

// publish is a PUBLISH that is not sent again when its answer is lost, since then it would arrive twice. In a Cluster it goes to the
// master of the channel's slot, since the order would be lost if each went to another node, as it does by default.
type publish struct{ *redis.IntCmd }

// NoRetry implements redis.Cmder.
func (publish) NoRetry() bool { return true }

func newPublish(ctx context.Context, channel string, payload []byte) publish {
	cmd := redis.NewIntCmd(ctx, "publish", channel, payload)
	cmd.SetFirstKeyPos(1)
	return publish{cmd}
}

// Publish implements pubsub.BusBackend. It returns when the server has the messages, by one round trip for up to 1000 messages or 8
// MiB. It minds the deadline of ctx if the client has ContextTimeoutEnabled, and else only the time-outs of the client.
func (b *Bus) Publish(ctx context.Context, topic string, ms []pubsub.Message) error {
	if b.err != nil {
		return fmt.Errorf("redispubsub: %w", b.err)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for i := range ms {
		if n := size(&ms[i]); n > maxPayload {
			return fmt.Errorf("redispubsub: %w: message %d of %d: %d bytes: want at most %d", pubsub.ErrTooLarge, i+1, len(ms), n, maxPayload)
		}
	}
	channel := b.prefix + topic
	if len(ms) == 1 {
		return b.sent(ctx, b.rdb.Process(ctx, newPublish(ctx, channel, encode(&ms[0]))))
	}
	for len(ms) > 0 {
		pipe, n := b.rdb.Pipeline(), 0
		for bytes := 0; n < len(ms) && n < inFlight && bytes < inFlightBytes; n++ {
			bytes += len(ms[n].Data)
			if err := pipe.Process(ctx, newPublish(ctx, channel, encode(&ms[n]))); err != nil {
				return b.sent(ctx, err)
			}
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return b.sent(ctx, err)
		}
		ms = ms[n:]
	}
	return nil
}

func (b *Bus) sent(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("redispubsub: %w", cause)
	}
	return fmt.Errorf("redispubsub: %w", err)
}

// Flush implements pubsub.BusBackend. Publish has waited for the server already.
func (b *Bus) Flush(context.Context) error {
	if b.err != nil {
		return fmt.Errorf("redispubsub: %w", b.err)
	}
	return nil
}

// Subscribe implements pubsub.BusBackend. It ends when the client is closed, or the server takes the permission away.
func (b *Bus) Subscribe(ctx context.Context, pattern string, s pubsub.Sink) error {
	if b.err != nil {
		return fmt.Errorf("redispubsub: %w", b.err)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	in := newIntake(pattern, len(b.prefix))
	k := b.join(in, routeOf(b.prefix, pattern))
	err := in.run(ctx, s)
	b.leave(k, in)
	if e := in.Deliver(ctx, s); err == nil {
		err = e
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("redispubsub: %w", err)
	}
	return cmp.Or(context.Cause(ctx), err)
}

// join adds in to the link, and starts that.
func (b *Bus) join(in *intake, r route) *link {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.link == nil {
		b.link = startLink(b)
	}
	b.link.join(in, r)
	return b.link
}

// leave takes in out of k. The last one waits until k has ended.
func (b *Bus) leave(k *link, in *intake) {
	b.mu.Lock()
	last := k.leave(in)
	if last {
		k.cancel()
		if b.link == k {
			b.link = nil
		}
	}
	b.mu.Unlock()
	if last {
		<-k.done
	}
}

// intake is a subscription.
type intake struct {
	*feed.Feed
	pattern string
	prefix  int // how many bytes of a channel come before the topic
	at      *topic
	ready   chan struct{} // closed when the server has it
	end     chan error    // why it cannot go on
	active  bool          // guarded by the link's mu
}

func newIntake(pattern string, prefix int) *intake {
	return &intake{Feed: feed.New(), pattern: pattern, prefix: prefix, ready: make(chan struct{}), end: make(chan error, 1)}
}

// run hands messages on until ctx ends or the subscription does.
func (in *intake) run(ctx context.Context, s pubsub.Sink) error {
	select {
	case <-in.ready:
	case err := <-in.end:
		return err
	case <-ctx.Done():
		return nil
	}
	s.Active()
	for {
		select {
		case <-in.More:
			if err := in.Deliver(ctx, s); err != nil {
				return err
			}
		case err := <-in.end:
			return err
		case <-ctx.Done():
			return nil
		}
	}
}

// fail ends it with err.
func (in *intake) fail(err error) {
	select {
	case in.end <- err:
	default:
	}
}

// take adds a message of a channel, if it is for in.
func (in *intake) take(channel string, m pubsub.Message, glob bool) {
	if len(channel) < in.prefix {
		return
	}
	m.Topic = channel[in.prefix:]
	if glob && !fits(in.pattern, m.Topic) {
		return
	}
	in.Lock()
	defer in.Unlock()
	in.Put(m)
}

// missing adds a gap.
func (in *intake) missing(cause error) {
	in.Lock()
	defer in.Unlock()
	in.Gap(cause)
}

// topic is a route and who wants it.
type topic struct {
	route
	subs  []*intake
	asked bool // on this connection
	up    bool
}

// without returns the topic's subscriptions but for in.
func (t *topic) without(in *intake) []*intake {
	return slices.DeleteFunc(t.subs, func(o *intake) bool { return o == in })
}
