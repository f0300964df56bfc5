package pubsub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Consumer handles the messages of a topic for a group. [Queue.Consume] makes it.
type Consumer struct {
	q     *Queue
	topic string
	group string
	h     Handler
	o     ConsumeOptions
	c     QueueConsumer

	fetch     context.Context // until draining begins
	stopFetch context.CancelCauseFunc
	work      context.Context // of handlers, until draining has taken too long
	stopWork  context.CancelCauseFunc
	settle    context.Context // of what is told to the engine, until the end
	stopAll   context.CancelCauseFunc
	done      chan struct{}
	err       error // after done

	mu       sync.Mutex
	flights  []*flight            // all messages that are here
	lines    map[string][]*flight // by key, what waits for the first one
	ready    []*flight            // what could run, if there were not too many that do
	running  int
	paused   bool
	draining bool
	changed  chan struct{} // closed when there is room, or less to do, nil while nobody waits for that
	acks     []Receipt     // what is to be settled
	acking   int           // how many are being settled
	ackNow   chan struct{} // has one when there are acks that should not wait
}

// flight is a message that is here.
type flight struct {
	Received
	at      int // its place in flights
	here    bool
	queued  bool // it is in ready
	attempt int
	until   time.Time               // the end of the lease
	ctx     context.Context         // of its handler
	cancel  context.CancelCauseFunc // of that, nil while there is none
	timer   *time.Timer             // of its next delivery
	gone    bool                    // it is not this consumer's any more
	tried   bool                    // a handler has seen it here
}

// Consume hands the messages of topic to h, for group, until ctx ends, which drains it, or it cannot go on. All consumers of a group,
// in all processes, share the messages. It returns when the group exists: what is published from then on is kept for it. A group that
// is new begins with the oldest message that the topic keeps.
//
// The error wraps [ErrInvalid], [ErrClosed] or the end of ctx, or is the engine's.
func (q *Queue) Consume(ctx context.Context, topic, group string, h Handler, o *ConsumeOptions) (*Consumer, error) {
	if err := q.checkGroup(ctx, topic, group); err != nil {
		return nil, err
	}
	if h == nil {
		return nil, fmt.Errorf("%w: nil Handler", ErrInvalid)
	}
	if o == nil {
		o = new(ConsumeOptions)
	}
	filled, err := o.filled()
	if err != nil {
		return nil, err
	}
	qc, err := q.b.Join(ctx, topic, group, JoinOptions{Prefetch: filled.Prefetch, Lease: filled.Lease})
	if err != nil {
		return nil, fmt.Errorf("pubsub: consume %q for %q: %w", topic, group, err)
	}
	c := &Consumer{
		q: q, topic: topic, group: group, h: h, o: filled, c: qc,
		lines: map[string][]*flight{}, ackNow: make(chan struct{}, 1), done: make(chan struct{}),
	}
	values := context.WithoutCancel(ctx)
	c.settle, c.stopAll = context.WithCancelCause(values)
	c.work, c.stopWork = context.WithCancelCause(values)
	c.fetch, c.stopFetch = context.WithCancelCause(ctx)
	q.mu.Lock()
	if q.closed.Load() {
		q.mu.Unlock()
		c.stopFetch(ErrClosed)
		c.leave()
		return nil, ErrClosed
	}
	q.consumers[c] = struct{}{}
	q.mu.Unlock()
	go c.run()
	return c, nil
}

// Done is closed when the consumer has ended: no handler runs, and all is settled or given back.
func (c *Consumer) Done() <-chan struct{} { return c.done }

// Err returns nil while the consumer goes on, and why it has ended after Done: [ErrClosed] after Drain, the cause of its context, or
// the engine's error.
func (c *Consumer) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// Pause stops asking for messages; those that are here, or come with what was asked for before, are handled still. Resume goes on.
func (c *Consumer) Pause() { c.setPaused(true) }

// Resume ends Pause.
func (c *Consumer) Resume() { c.setPaused(false) }

func (c *Consumer) setPaused(p bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = p
	c.change()
}

// Drain stops taking messages, gives back those that no handler has, waits for the handlers, whose contexts end after
// ConsumeOptions.Drain, and settles what they have done. It returns nil when all that is done, and the cause of ctx if that ends
// first; then it goes on in the background.
func (c *Consumer) Drain(ctx context.Context) error {
	if ctx == nil {
		return fmt.Errorf("%w: Drain with nil: want a context", ErrInvalid)
	}
	c.stopFetch(ErrClosed)
	select {
	case <-c.done:
	case <-ctx.Done():
	}
	select {
	case <-c.done: // also where both have come
		return nil
	default:
		return fmt.Errorf("pubsub: drain %q for %q: %w", c.topic, c.group, context.Cause(ctx))
	}
}

// change tells whoever waits for room or the end. The caller holds c.mu.
func (c *Consumer) change() {
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// change's next call closes what watch returns. The caller holds c.mu.
func (c *Consumer) watch() <-chan struct{} {
	if c.changed == nil {
		c.changed = make(chan struct{})
	}
	return c.changed
}

// run is the consumer's life.
func (c *Consumer) run() {
	defer close(c.done)
	var helpers sync.WaitGroup
	helpers.Go(c.extend)
	helpers.Go(c.expire)
	helpers.Go(c.sendAcks)
	err := c.take()
	if cause := context.Cause(c.fetch); cause != nil {
		err = cause
	}
	c.stopFetch(err)
	c.err = fmt.Errorf("pubsub: consumer of %q for %q: %w", c.topic, c.group, err)
	c.drain()
	c.stopAll(ErrClosed)
	helpers.Wait()
	c.q.mu.Lock()
	delete(c.q.consumers, c)
	c.q.mu.Unlock()
}

// take fetches messages while there is room for them.
func (c *Consumer) take() error {
	for {
		n, err := c.room()
		if err != nil {
			return err
		}
		rs, err := c.c.Fetch(c.fetch, n)
		if err != nil {
			return err
		}
		c.arrived(rs)
	}
}

// room waits until there is room for messages, and returns for how many.
func (c *Consumer) room() (int, error) {
	for {
		c.mu.Lock()
		n := c.free()
		if n > 0 {
			c.mu.Unlock()
			return n, nil
		}
		changed := c.watch()
		c.mu.Unlock()
		select {
		case <-changed:
		case <-c.fetch.Done():
			return 0, context.Cause(c.fetch)
		}
	}
}

// free returns for how many messages there is room, 0 also where it is too early to ask: while handlers have enough to do, a request
// is for at least a quarter of all. The caller holds c.mu.
func (c *Consumer) free() int {
	n := c.o.Prefetch - len(c.flights)
	switch {
	case c.paused, len(c.acks)+c.acking > c.o.Prefetch+1000: // an engine that is too slow with acks
		return 0
	case len(c.ready) >= c.o.Concurrency && 4*n < c.o.Prefetch:
		return 0
	}
	return n
}

// arrived takes messages that were handed out.
func (c *Consumer) arrived(rs []Received) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range rs {
		f := &flight{Received: r, at: len(c.flights), here: true, attempt: r.Delivered, until: r.Asked.Add(c.o.Lease)}
		c.flights = append(c.flights, f)
		if c.ordered(f) {
			line, busy := c.lines[f.Key]
			if busy {
				c.lines[f.Key] = append(line, f)
				continue
			}
			c.lines[f.Key] = nil
		}
		c.start(f)
	}
}

var errNoOutcome = errors.New("its consumers died, or were cut off, each time")

// noOutcome reports whether a message was handed out so often without a word of how it ended that no handler should see it again.
func (c *Consumer) noOutcome(f *flight) bool { return !f.tried && f.Delivered > 2*c.o.Deliveries+10 }

func (c *Consumer) ordered(f *flight) bool { return f.Key != "" && !c.o.Unordered }

// start runs a message, or lets it wait for another one to end. The caller holds c.mu.
func (c *Consumer) start(f *flight) {
	if c.running == c.o.Concurrency {
		f.queued = true
		c.ready = append(c.ready, f)
		return
	}
	c.running++
	c.prepare(f)
	go c.handle(f)
}

// prepare makes the context of a message's handler, which has ended where too little is left of the lease. The caller holds c.mu.
func (c *Consumer) prepare(f *flight) {
	f.queued = false
	f.ctx, f.cancel = context.WithCancelCause(c.work)
	if c.spent(f) {
		c.lose(f)
	}
}

// handle runs messages until none is ready.
func (c *Consumer) handle(f *flight) {
	over := false
	defer func() {
		if !over { // runtime.Goexit in the handler
			go func() {
				if next := c.finish(f, verdict{err: errGoexit}); next != nil {
					c.handle(next)
				}
			}()
		}
	}()
	for f != nil {
		f = c.finish(f, c.call(f))
	}
	over = true
}

// next returns a message that is ready, or nil, when one runs less. The caller holds c.mu.
func (c *Consumer) next() *flight {
	for len(c.ready) > 0 {
		f := c.ready[0]
		c.ready[0], c.ready = nil, c.ready[1:]
		if !f.gone {
			c.prepare(f)
			return f
		}
	}
	c.ready = nil
	c.running--
	c.change()
	return nil
}

// call runs the handler once, unless its context has ended before it could begin. A panic is an error.
func (c *Consumer) call(f *flight) (v verdict) {
	defer f.cancel(nil)
	if f.ctx.Err() != nil {
		return verdict{err: context.Cause(f.ctx)}
	}
	if c.noOutcome(f) {
		return verdict{err: errNoOutcome, dead: true}
	}
	f.tried = true
	d := &Delivery{
		Message: f.Message, Group: c.group, Attempt: f.attempt, Published: f.Published, Token: f.Token, Partition: f.Partition,
	}
	ctx, done := c.q.trace.handle(f.ctx, d)
	v.err = errGoexit
	defer func() {
		if p := recover(); p != nil {
			v = verdict{err: fmt.Errorf("pubsub: panic: %v", p)}
		}
		done(v.err)
	}()
	return judge(c.h(ctx, d))
}

// drain gives back what no handler has, waits for those that do, and leaves the group.
func (c *Consumer) drain() {
	c.mu.Lock()
	c.draining = true
	c.hurryAcks()
	fs := c.ready
	c.ready = nil
	for key, line := range c.lines { // first: remove starts what waits
		fs = append(fs, line...)
		c.lines[key] = nil
	}
	for _, f := range slices.Clone(c.flights) {
		if f.timer != nil {
			c.remove(f) // as in again
		}
	}
	c.mu.Unlock()
	tooLong := time.AfterFunc(c.o.Drain, func() { c.stopWork(ErrClosed) }) // handlers hear of it, and are still waited for
	defer tooLong.Stop()
	if len(fs) > 0 {
		c.release(fs)
	}
	for {
		c.mu.Lock()
		over := len(c.flights) == 0 && len(c.acks)+c.acking == 0 && c.running == 0
		changed := c.watch()
		c.mu.Unlock()
		if over {
			break
		}
		<-changed
	}
	c.stopWork(ErrClosed)
	c.leave()
}

// leave tells the engine that the consumer has ended. Where that fails, its leases end.
func (c *Consumer) leave() {
	ctx, cancel := context.WithTimeout(c.settle, c.o.Lease/3)
	defer cancel()
	c.c.Close(ctx)
}
