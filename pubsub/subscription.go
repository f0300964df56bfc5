package pubsub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
)

// Overflow is what happens to a message for which there is no room in the buffer of a subscription.
type Overflow int

const (
	// DropOldest makes room by dropping the oldest message. The loop gets a gap in its place.
	DropOldest Overflow = iota
	// DropNewest drops the message that came. The loop gets a gap in its place.
	DropNewest
	// Block makes the engine wait. In this process that are the publishers, all of them, so it is for subscribers that are
	// trusted; elsewhere the client and the server buffer, and drop by their own limits, which is a gap.
	Block
	// Disconnect ends the subscription with [ErrOverflow], once its loop has had what was buffered.
	Disconnect
)

// String returns the name of o.
func (o Overflow) String() string {
	if o < DropOldest || o > Disconnect {
		return fmt.Sprintf("Overflow(%d)", int(o))
	}
	return [...]string{"drop oldest", "drop newest", "block", "disconnect"}[o]
}

const (
	defaultBuffer = 1024
	maxBuffer     = 1 << 20
)

// SubscribeOptions configure [Bus.Subscribe]. A nil *SubscribeOptions means the defaults.
type SubscribeOptions struct {
	// Buffer is how many messages are kept for a loop that is slow, 1 to 1,048,576. It defaults to 1024.
	Buffer int
	// Overflow says what happens when it is full. It defaults to DropOldest.
	Overflow Overflow
}

// GapError says that messages may be missing between the one before and the one after it. It is no end: the loop goes on.
type GapError struct {
	Pattern string // of the subscription
	Dropped int    // how many messages did not fit into the buffer
	Cause   error  // what else was lost, such as ErrDisconnected: nobody knows how many messages that is
}

// Error implements error.
func (e *GapError) Error() string {
	switch {
	case e.Cause == nil:
		return fmt.Sprintf("pubsub: gap in %q: %d dropped", e.Pattern, e.Dropped)
	case e.Dropped == 0:
		return fmt.Sprintf("pubsub: gap in %q: %v", e.Pattern, e.Cause)
	}
	return fmt.Sprintf("pubsub: gap in %q: %d dropped, and %v", e.Pattern, e.Dropped, e.Cause)
}

// Is reports whether target is [ErrGap].
func (e *GapError) Is(target error) bool { return target == ErrGap }

// Unwrap returns the Cause.
func (e *GapError) Unwrap() error { return e.Cause }

// Subscription gets the messages of a pattern. [Bus.Subscribe] makes it. It ends with the context that it was made with, by Drain
// or by [Bus.Close].
type Subscription struct {
	bus      *Bus
	pattern  string
	limit    int
	overflow Overflow
	cancel   context.CancelCauseFunc // of the backend's Subscribe
	ended    chan struct{}           // closed when that has returned
	active   chan struct{}

	mu    sync.Mutex
	once  sync.Once     // closes active
	buf   ring          // what no loop has taken
	came  chan struct{} // closed and replaced when there is something for a loop that waits, nil while none does
	room  chan struct{} // closed when there is room, nil while nobody waits for it
	err   error         // why it has ended
	empty chan struct{} // closed when it has ended and a loop has had everything
}

// item is a message, after a gap or not.
type item struct {
	m   Message
	gap *GapError
}

// ring is a queue of items that grows up to a limit.
type ring struct {
	items []item
	head  int
	n     int
	gap   *GapError // after the last item
}

func (r *ring) push(m Message, limit int) {
	if r.n == len(r.items) {
		grown := make([]item, min(max(2*r.n, 16), limit))
		k := copy(grown, r.items[r.head:])
		copy(grown[k:], r.items[:r.head])
		r.items, r.head = grown, 0
	}
	i := r.head + r.n
	if i >= len(r.items) {
		i -= len(r.items)
	}
	r.items[i] = item{m, r.gap}
	r.gap = nil
	r.n++
}

func (r *ring) pop() item {
	it := r.items[r.head]
	r.items[r.head] = item{}
	if r.head++; r.head == len(r.items) {
		r.head = 0
	}
	r.n--
	return it
}

// Subscribe returns when the subscription is active: it gets all messages whose topic fits pattern and that are published from
// then on, until ctx ends. The error wraps [ErrInvalid], [ErrClosed] or the end of ctx, or is the engine's.
func (b *Bus) Subscribe(ctx context.Context, pattern string, o *SubscribeOptions) (*Subscription, error) {
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	if err := CheckPattern(pattern); err != nil {
		return nil, err
	}
	if o == nil {
		o = new(SubscribeOptions)
	}
	buffer := cmp.Or(o.Buffer, defaultBuffer)
	if buffer < 1 || buffer > maxBuffer {
		return nil, fmt.Errorf("%w: Buffer %d: want 1 to %d", ErrInvalid, o.Buffer, maxBuffer)
	}
	if o.Overflow < DropOldest || o.Overflow > Disconnect {
		return nil, fmt.Errorf("%w: %v", ErrInvalid, o.Overflow)
	}
	run, cancel := context.WithCancelCause(ctx)
	s := &Subscription{
		bus: b, pattern: pattern, limit: buffer, overflow: o.Overflow, cancel: cancel,
		ended: make(chan struct{}), active: make(chan struct{}), empty: make(chan struct{}),
	}
	b.mu.Lock()
	if b.closed.Load() {
		b.mu.Unlock()
		cancel(ErrClosed)
		return nil, ErrClosed
	}
	b.subs[s] = struct{}{}
	b.mu.Unlock()
	go s.run(run)
	select {
	case <-s.active:
		return s, nil
	case <-s.ended:
		return nil, s.err
	}
}

// run is the subscription's time at the engine.
func (s *Subscription) run(ctx context.Context) {
	err := s.bus.b.Subscribe(ctx, s.pattern, sink{s})
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	s.cancel(nil)
	s.bus.mu.Lock()
	delete(s.bus.subs, s)
	s.bus.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = fmt.Errorf("pubsub: subscription of %q: %w", s.pattern, cmp.Or(err, errors.New("the engine gave it up")))
	close(s.ended)
	s.wake()
	s.finish()
}

// wake lets loops look again. The caller holds s.mu.
func (s *Subscription) wake() {
	if s.came != nil {
		close(s.came)
		s.came = nil
	}
}

// finish notes whether all is over. The caller holds s.mu.
func (s *Subscription) finish() {
	if s.err == nil || s.buf.n > 0 || s.buf.gap != nil {
		return
	}
	select {
	case <-s.empty:
	default:
		close(s.empty)
	}
}

// stop ends the subscription at the engine; what is buffered stays for its loops.
func (s *Subscription) stop(cause error) { s.cancel(cause) }

// drained waits until loops have had everything.
func (s *Subscription) drained(ctx context.Context) error {
	select {
	case <-s.empty:
	case <-ctx.Done():
	}
	select {
	case <-s.empty: // also where both have come
		return nil
	default:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.buf.n; n > 0 {
		s.buf = ring{}
		s.finish()
		return fmt.Errorf("%d messages of %q were not read: %w", n, s.pattern, context.Cause(ctx))
	}
	return context.Cause(ctx)
}

// Drain ends the subscription at the engine, and waits until its loops have had what was buffered, or ctx ends. They end with
// [ErrClosed].
func (s *Subscription) Drain(ctx context.Context) error {
	if ctx == nil {
		return fmt.Errorf("%w: Drain with nil: want a context", ErrInvalid)
	}
	s.stop(ErrClosed)
	if err := s.drained(ctx); err != nil {
		return fmt.Errorf("pubsub: drain: %w", err)
	}
	return nil
}

// Pending returns how many messages are buffered.
func (s *Subscription) Pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.n
}

// All yields the messages in order. Where some may be missing it yields a [*GapError], and goes on. It ends when the loop breaks,
// or with one other error, last: why the subscription has ended, once all that was buffered has been yielded, or why ctx
// has, which ends only this loop. Several loops share the messages.
func (s *Subscription) All(ctx context.Context) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		for {
			it, ok, err := s.next(ctx)
			switch {
			case err != nil:
				yield(Message{}, err)
				return
			case it.gap != nil:
				if !yield(Message{}, it.gap) {
					return
				}
			case ok:
				if !yield(it.m, nil) {
					return
				}
			}
		}
	}
}

// next waits for an item. It returns ok false for a gap without a message.
func (s *Subscription) next(ctx context.Context) (it item, ok bool, err error) {
	for {
		s.mu.Lock()
		switch {
		case ctx.Err() != nil:
			err = fmt.Errorf("pubsub: %w", context.Cause(ctx))
		case s.buf.n > 0 && s.buf.items[s.buf.head].gap != nil: // by itself, so that a loop may break there
			it.gap, s.buf.items[s.buf.head].gap = s.buf.items[s.buf.head].gap, nil
		case s.buf.n > 0:
			it, ok = s.buf.pop(), true
		case s.buf.gap != nil:
			it.gap, s.buf.gap = s.buf.gap, nil
		default:
			err = s.err
		}
		if it.gap != nil {
			s.bus.trace.gap(it.gap)
		}
		if ok || it.gap != nil || err != nil {
			if s.room != nil {
				close(s.room)
				s.room = nil
			}
			s.finish()
			s.mu.Unlock()
			return it, ok, err
		}
		if s.came == nil {
			s.came = make(chan struct{})
		}
		came := s.came
		s.mu.Unlock()
		select {
		case <-came:
		case <-ctx.Done():
			return item{}, false, fmt.Errorf("pubsub: %w", context.Cause(ctx))
		}
	}
}

// sink is a Subscription as its backend sees it.
type sink struct{ *Subscription }

// Active implements Sink.
func (s sink) Active() { s.once.Do(func() { close(s.active) }) }

// Gap implements Sink.
func (s sink) Gap(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.gapAfter()
	g.Cause = cmp.Or(g.Cause, cause)
	s.wake()
}

// gapAfter returns the gap after the last message. The caller holds s.mu.
func (s *Subscription) gapAfter() *GapError {
	if s.buf.gap == nil {
		s.buf.gap = &GapError{Pattern: s.pattern}
	}
	return s.buf.gap
}

// Deliver implements Sink.
func (s sink) Deliver(ctx context.Context, topic string, ms []Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range ms {
		if s.err != nil {
			return s.err
		}
		if s.buf.n == s.limit {
			if keep, err := s.full(ctx); err != nil || !keep {
				if err != nil {
					return err
				}
				continue
			}
		}
		m.Topic = topic
		s.buf.push(m, s.limit)
	}
	s.wake()
	return nil
}

// full makes room by the rule, and reports whether there is any. The caller holds s.mu.
func (s sink) full(ctx context.Context) (bool, error) {
	switch s.overflow {
	case DropOldest:
		s.dropOldest()
		return true, nil
	case DropNewest:
		s.gapAfter().Dropped++
		s.wake()
		return false, nil
	case Disconnect:
		s.stop(ErrOverflow)
		return false, ErrOverflow
	}
	for s.buf.n == s.limit && s.err == nil {
		s.wake()
		if s.room == nil {
			s.room = make(chan struct{})
		}
		room := s.room
		s.mu.Unlock()
		select {
		case <-room:
		case <-s.ended:
		case <-ctx.Done():
		}
		s.mu.Lock()
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
	}
	return s.err == nil, s.err
}

// dropOldest puts a gap in the place of the oldest message. The caller holds s.mu.
func (s *Subscription) dropOldest() {
	g := s.buf.pop().gap
	at := &s.buf.gap
	if s.buf.n > 0 {
		at = &s.buf.items[s.buf.head].gap
	}
	switch {
	case g == nil && *at == nil:
		g = &GapError{Pattern: s.pattern}
	case g == nil:
		g = *at
	case *at != nil:
		g.Dropped += (*at).Dropped
		g.Cause = cmp.Or(g.Cause, (*at).Cause)
	}
	g.Dropped++
	*at = g
}
