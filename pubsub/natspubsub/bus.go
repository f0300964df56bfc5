package natspubsub

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/concordkit/concord/pubsub"
)

// maxPrefix leaves room for a topic in a line of NATS's protocol, 4 KiB by default.
const maxPrefix = 255

// defaultSettle is many times what the servers of a cluster take to tell each other of a subscription.
const defaultSettle = 100 * time.Millisecond

var (
	// errSlow is the cause of a gap at which the client dropped messages.
	errSlow = fmt.Errorf("natspubsub: %w", nats.ErrSlowConsumer)
)

// BusOptions configure [NewBus]. A nil *BusOptions means the defaults.
type BusOptions struct {
	// Prefix comes before each topic in its subject. It is empty, so that topics are subjects, or ends with a dot, at most 255
	// bytes of tokens like those of a topic.
	Prefix string
	// Settle is how long a new subscription waits until all servers of a cluster know of it, and how long after a reconnect a
	// gap is told once more. It counts only where the connected server is in a cluster. It defaults to 100 ms; below 0 is none.
	Settle time.Duration
}

// Bus is a [pubsub.BusBackend] on core NATS. [NewBus] makes it.
type Bus struct {
	nc     *nats.Conn
	prefix string
	settle time.Duration
	err    error

	// Publish shares turn. Flush takes it alone to close an account.
	turn    sync.RWMutex
	opened  atomic.Bool // whether account is open
	mu      sync.Mutex  // guards account while turn is shared
	account account
	flights []*account // accounts that a Flush is about to settle, the oldest first
}

// NewBus returns a Bus on nc, which stays the caller's. It does no I/O. A nil connection, one with NoEcho and a bad option are
// reported by every call. Options for nc: MaxReconnects(-1), or a long outage ends the subscriptions, and
// ReconnectOnFlusherError, since else nats.go may throw away what it could not write for a minute and go on.
func NewBus(nc *nats.Conn, o *BusOptions) *Bus {
	if o == nil {
		o = new(BusOptions)
	}
	b := &Bus{nc: nc, prefix: o.Prefix, settle: o.Settle}
	if b.settle == 0 {
		b.settle = defaultSettle
	}
	switch {
	case nc == nil:
		b.err = fmt.Errorf("%w: nil connection", pubsub.ErrInvalid)
	case nc.Opts.NoEcho:
		b.err = fmt.Errorf("%w: connection with NoEcho: want one that hears itself", pubsub.ErrInvalid)
	case b.prefix == "":
	case len(b.prefix) > maxPrefix || !strings.HasSuffix(b.prefix, "."):
		b.err = fmt.Errorf("%w: Prefix %.40q: want at most %d bytes with a dot at the end", pubsub.ErrInvalid, b.prefix, maxPrefix)
	default:
		if err := pubsub.CheckTopic(strings.TrimSuffix(b.prefix, ".")); err != nil {
			b.err = fmt.Errorf("prefix %.40q: %w", b.prefix, err)
		}
	}
	return b
}

// Publish implements pubsub.BusBackend. The client buffers, also while it reconnects, up to its ReconnectBufSize. It does not wait
// for ctx, but may wait for the client, at most its FlusherTimeout.
func (b *Bus) Publish(ctx context.Context, topic string, ms []pubsub.Message) error {
	if b.err != nil {
		return fmt.Errorf("natspubsub: %w", b.err)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	b.turn.RLock()
	defer b.turn.RUnlock()
	if !b.opened.Load() {
		b.open()
	}
	subject := b.prefix + topic
	if len(ms) == 1 && plain(&ms[0]) {
		return b.fail(b.nc.Publish(subject, ms[0].Data))
	}
	return b.publish(subject, ms)
}

// publish measures all before it sends the first.
func (b *Bus) publish(subject string, ms []pubsub.Message) error {
	limit := int(b.nc.MaxPayload())
	encoded := make([]*nats.Msg, len(ms))
	for i := range ms {
		size := len(ms[i].Data)
		if !plain(&ms[i]) {
			encoded[i], size = encode(subject, &ms[i])
		}
		if limit > 0 && size > limit {
			return fmt.Errorf("natspubsub: %w: message %d of %d: %d bytes: want at most %d", pubsub.ErrTooLarge, i+1, len(ms), size, limit)
		}
	}
	for i, m := range encoded {
		var err error
		if m == nil {
			err = b.nc.Publish(subject, ms[i].Data)
		} else {
			err = b.nc.PublishMsg(m)
		}
		if err != nil {
			return b.fail(err)
		}
	}
	return nil
}

// fail notes an error after which the client may have lost what it had buffered.
func (b *Bus) fail(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("natspubsub: %w: %w", pubsub.ErrTooLarge, err)
	case errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrBadSubject), errors.Is(err, nats.ErrHeadersNotSupported):
	default:
		b.mu.Lock()
		b.account.broken = err
		b.mu.Unlock()
	}
	return fmt.Errorf("natspubsub: %w", err)
}

// Flush implements pubsub.BusBackend, by a round trip. It fails with [pubsub.ErrDisconnected] when the connection was lost or absent
// since the first message that no Flush has covered, since then nobody knows which have arrived; and when the server refused one.
// A loss is told once: to the first Flush that ends after it, and to those that wait at the same time.
func (b *Bus) Flush(ctx context.Context) error {
	if b.err != nil {
		return fmt.Errorf("natspubsub: %w", b.err)
	}
	return apart(ctx, func() error { return b.flush(ctx) })
}

// apart runs fn, which may wait for a client that is stuck, whatever ctx says.
func apart(ctx context.Context, fn func() error) error {
	done := make(chan error, 1)
	go func() { done <- fn() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	default:
		return context.Cause(ctx)
	}
}

// ping returns when the server has all that was sent before.
func (b *Bus) ping(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, 1<<62) // the client wants a deadline
	defer cancel()
	err := b.nc.FlushWithContext(limited)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, nats.ErrConnectionClosed) && !b.nc.IsClosed():
		return fmt.Errorf("natspubsub: %w", pubsub.ErrDisconnected)
	}
	return fmt.Errorf("natspubsub: %w", err)
}

// Subscribe implements pubsub.BusBackend. After a reconnect it calls s.Gap as soon as the server has the subscription again. It ends
// when the connection is closed, or the server takes the permission away.
func (b *Bus) Subscribe(ctx context.Context, pattern string, s pubsub.Sink) error {
	if b.err != nil {
		return fmt.Errorf("natspubsub: %w", b.err)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	in := newIntake(b, pattern)
	defer in.forget()
	if err := in.open(ctx); err != nil {
		return err
	}
	s.Active()
	return in.run(ctx, s)
}

// settles reports whether there are other servers that have to hear of a subscription.
func (b *Bus) settles() bool { return b.settle > 0 && b.nc.ConnectedClusterName() != "" }
