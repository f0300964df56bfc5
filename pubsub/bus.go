package pubsub

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
)

// BusOptions configure [NewBus]. A nil *BusOptions means the defaults.
type BusOptions struct {
	// Trace observes the Bus. Nil observes nothing and costs nothing.
	Trace *Trace
}

// Bus fans messages out to those who are there: at most once, in the order of each publisher. NewBus makes it. Its methods may be
// called concurrently.
type Bus struct {
	b      BusBackend
	trace  *Trace
	closed atomic.Bool

	mu   sync.Mutex // guards subs, and closed while it is set
	subs map[*Subscription]struct{}
}

// NewBus returns a Bus over b. It does no I/O.
func NewBus(b BusBackend, o *BusOptions) *Bus {
	if o == nil {
		o = new(BusOptions)
	}
	return &Bus{b: b, trace: o.Trace, subs: map[*Subscription]struct{}{}}
}

// Publish hands ms to the engine in their order: nil means that all are on their way, and come before what this goroutine
// publishes next. See [Bus.Flush] for when they have arrived. Without ms it does nothing.
//
// An error wraps [ErrInvalid] or [ErrTooLarge], and nothing was sent; [ErrClosed]; or the end of ctx, for which only a slow engine
// and, in this process, a subscriber with [Block] make it wait; or it is the engine's. Then the first of ms may have been sent.
func (b *Bus) Publish(ctx context.Context, topic string, ms ...Message) error {
	if err := b.usable(ctx); err != nil {
		return err
	}
	if err := checkPublish(topic, ms); err != nil || len(ms) == 0 {
		return err
	}
	ctx, done := b.trace.publish(ctx, topic, &ms)
	err := b.b.Publish(ctx, topic, ms)
	if err != nil {
		err = fmt.Errorf("pubsub: publish %q: %w", topic, err)
	}
	done(err)
	return err
}

// Flush returns nil when the engine has all messages that were published before it was called, and subscribers that are there
// will get them. An error is the end of ctx or the engine's: then nobody knows.
func (b *Bus) Flush(ctx context.Context) error {
	if err := b.usable(ctx); err != nil {
		return err
	}
	if err := b.b.Flush(ctx); err != nil {
		return fmt.Errorf("pubsub: flush: %w", err)
	}
	return nil
}

// Close flushes, drains the subscriptions and ends them once their loops have had what was buffered. It returns when that is
// done, or when ctx ends: then what is left is dropped, and the error says so. Later calls, and those of other methods, return
// ErrClosed. The client of the engine stays as it is.
func (b *Bus) Close(ctx context.Context) error {
	if ctx == nil {
		return fmt.Errorf("%w: Close with nil: want a context", ErrInvalid)
	}
	b.mu.Lock()
	if b.closed.Swap(true) {
		b.mu.Unlock()
		return fmt.Errorf("pubsub: close: %w", ErrClosed)
	}
	subs := b.subs
	b.subs = nil
	b.mu.Unlock()
	err := b.b.Flush(ctx)
	for s := range subs {
		s.stop(ErrClosed)
	}
	for s := range subs {
		if e := s.drained(ctx); e != nil && err == nil {
			err = e
		}
	}
	if err != nil {
		return fmt.Errorf("pubsub: close: %w", err)
	}
	return nil
}

func (b *Bus) usable(ctx context.Context) error { return usable(ctx, &b.closed) }

func usable(ctx context.Context, closed *atomic.Bool) error {
	switch {
	case ctx == nil:
		return fmt.Errorf("%w: nil context", ErrInvalid)
	case closed.Load():
		return ErrClosed
	case ctx.Err() != nil:
		return fmt.Errorf("pubsub: %w", context.Cause(ctx))
	}
	return nil
}
