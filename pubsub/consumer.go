package pubsub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Handler handles a message. It returns nil when the message is done with, and any error to have it again: after the next
// pause of the backoff list, after as long as [After] says, or, with [Dead] or after the last delivery, as a dead letter. A panic
// is an error. The context ends with the cause [ErrLost] when the message is no longer this consumer's, and with
// [ErrClosed] when draining takes too long.
type Handler func(ctx context.Context, d *Delivery) error

// Around returns a Handler that calls f around h: the Do of a retry.Policy or a breaker.Breaker, for instance.
func (h Handler) Around(f func(ctx context.Context, fn func(context.Context) error) error) Handler {
	return func(ctx context.Context, d *Delivery) error {
		return f(ctx, func(ctx context.Context) error { return h(ctx, d) })
	}
}

// Once returns a Handler that leaves out messages that it has handled before, by their IDs. keys is a store of idempotency keys: its
// Once calls fn unless fn has succeeded for that key before.
func Once(keys interface {
	Once(ctx context.Context, key string, fn func(context.Context) error) error
}, h Handler) Handler {
	return func(ctx context.Context, d *Delivery) error {
		return keys.Once(ctx, d.ID, func(ctx context.Context) error { return h(ctx, d) })
	}
}

// Delivery is a message that is to be handled.
type Delivery struct {
	Message
	Group string
	// Attempt is 1 the first time. It counts what handlers have seen, and deliveries to consumers that died.
	Attempt int
	// Published is when the message was stored, by the engine's clock.
	Published time.Time
	// Token grows with each time that the message is handed out, and with Partitions with each consumer of its partition. Pass it
	// along with every write, so that the resource can refuse those of a consumer that was paused for longer than its lease.
	Token uint64
	// Partition is that of the message, if the engine has Partitions.
	Partition int
}

// later asks for another delivery after a while.
type later struct{ d time.Duration }

func (l *later) Error() string { return fmt.Sprintf("pubsub: again after %v", l.d) }

// After returns an error that asks for the message again after d, instead of the pause of the backoff list. It counts as a
// delivery.
func After(d time.Duration) error { return &later{d} }

// dead asks for a dead letter.
type dead struct{ err error }

func (d *dead) Error() string { return d.err.Error() }
func (d *dead) Unwrap() error { return d.err }

// Dead returns an error that makes the message a dead letter now, since no other delivery will help. The letter has the text of
// err.
func Dead(err error) error {
	if err == nil {
		err = errors.New("no reason was given")
	}
	return &dead{err}
}

// ConsumeOptions configure [Queue.Consume]. A nil *ConsumeOptions means the defaults.
type ConsumeOptions struct {
	// Concurrency is how many handlers run at a time, 1 to 10,000. It defaults to 10. Messages with the same Key, unless it is
	// empty, are handled one after the other, in the order of the topic.
	Concurrency int
	// Unordered lets messages with the same Key be handled at the same time.
	Unordered bool
	// Prefetch is how many messages this consumer has at a time, Concurrency to 100,000, and at least one for each of the
	// engine's Partitions. It defaults to Concurrency. Engines count a message as delivered when it gets here, whether a handler
	// has seen it or not.
	Prefetch int
	// Deliveries is how often a message is tried, 1 to 1000, before it is a dead letter. It defaults to 5. What a consumer that was
	// drained has tried counts once. A message that was handed out twice as often and ten times more without any word of how it
	// ended, since its consumers died, is a dead letter too.
	Deliveries int
	// Backoff are the pauses before the second delivery and so on, 0 to 24 h each; the last one repeats. Each is shortened by up
	// to a half, at random. They default to 100 ms, 1 s, 5 s and 30 s. The messages stay here meanwhile, and those with the same
	// Key wait.
	Backoff []time.Duration
	// Lease is how long a message is this consumer's when it is not heard of, 1 s to 1 h: how long it takes until others get
	// what it had when it died. It is extended every third of that while the message is here. It defaults to 30 s.
	Lease time.Duration
	// Drain is how long handlers may go on after the end of the consumer, before their contexts end too, 1 ms to 24 h. It defaults to
	// Lease.
	Drain time.Duration
}

var defaultBackoff = []time.Duration{100 * time.Millisecond, time.Second, 5 * time.Second, 30 * time.Second}

func (o ConsumeOptions) filled() (ConsumeOptions, error) {
	o.Concurrency = cmp.Or(o.Concurrency, 10)
	o.Prefetch = cmp.Or(o.Prefetch, o.Concurrency)
	o.Deliveries = cmp.Or(o.Deliveries, 5)
	o.Lease = cmp.Or(o.Lease, 30*time.Second)
	o.Drain = cmp.Or(o.Drain, o.Lease)
	if o.Backoff == nil {
		o.Backoff = defaultBackoff
	}
	o.Backoff = slices.Clone(o.Backoff)
	errs := []error{
		within("Concurrency", o.Concurrency, 1, 10_000),
		within("Prefetch", o.Prefetch, o.Concurrency, 100_000),
		within("Deliveries", o.Deliveries, 1, 1000),
		within("Lease", o.Lease, time.Second, time.Hour),
		within("Drain", o.Drain, time.Millisecond, 24*time.Hour),
	}
	for i, d := range o.Backoff {
		errs = append(errs, within(fmt.Sprintf("Backoff[%d]", i), d, 0, 24*time.Hour))
	}
	for _, err := range errs {
		if err != nil {
			return o, err
		}
	}
	return o, nil
}

func within[T int | time.Duration](name string, v, least, most T) error {
	if v < least || v > most {
		return fmt.Errorf("%w: %s %v: want %v to %v", ErrInvalid, name, v, least, most)
	}
	return nil
}

// pause returns how long to wait after so many failed deliveries.
func (o *ConsumeOptions) pause(failed int) time.Duration {
	if len(o.Backoff) == 0 {
		return 0
	}
	d := o.Backoff[min(failed, len(o.Backoff))-1]
	return d - time.Duration(rand.Int64N(int64(d)/2+1))
}

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
	flights  map[*flight]struct{} // all messages that are here
	lines    map[string][]*flight // by key, what waits for the first one
	ready    []*flight            // what could run, if there were not too many that do
	running  int
	paused   bool
	draining bool
	changed  chan struct{} // closed and replaced when there is room, or less to do
	acks     []Receipt
	acking   bool // a goroutine is at it
}

// flight is a message that is here.
type flight struct {
	Received
	attempt int
	until   time.Time               // the end of the lease
	cancel  context.CancelCauseFunc // of its handler, nil while there is none
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
		flights: map[*flight]struct{}{}, lines: map[string][]*flight{},
		changed: make(chan struct{}), done: make(chan struct{}),
	}
	values := context.WithoutCancel(ctx)
	c.settle, c.stopAll = context.WithCancelCause(values)
	c.work, c.stopWork = context.WithCancelCause(values)
	c.fetch, c.stopFetch = context.WithCancelCause(ctx)
	q.mu.Lock()
	if q.closed.Load() {
		q.mu.Unlock()
		qc.Close(c.settle)
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
	close(c.changed)
	c.changed = make(chan struct{})
}

// run is the consumer's life.
func (c *Consumer) run() {
	defer close(c.done)
	var leases sync.WaitGroup
	leases.Go(c.extend)
	leases.Go(c.expire)
	err := c.take()
	if cause := context.Cause(c.fetch); cause != nil {
		err = cause
	}
	c.stopFetch(err)
	c.err = fmt.Errorf("pubsub: consumer of %q for %q: %w", c.topic, c.group, err)
	c.drain()
	c.stopAll(ErrClosed)
	leases.Wait()
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
		n, changed := c.o.Prefetch-len(c.flights), c.changed
		if c.paused || len(c.acks) > c.o.Prefetch+1000 { // an engine that is too slow with acks
			n = 0
		}
		c.mu.Unlock()
		if n > 0 {
			return n, nil
		}
		select {
		case <-changed:
		case <-c.fetch.Done():
			return 0, context.Cause(c.fetch)
		}
	}
}

// arrived takes messages that were handed out.
func (c *Consumer) arrived(rs []Received) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range rs {
		f := &flight{Received: r, attempt: r.Delivered, until: r.Asked.Add(c.o.Lease)}
		c.flights[f] = struct{}{}
		if line, busy := c.lines[f.Key]; busy && c.ordered(f) {
			c.lines[f.Key] = append(line, f)
			continue
		}
		if c.ordered(f) {
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
		c.ready = append(c.ready, f)
		return
	}
	c.running++
	go c.handle(f)
}

// handle runs messages until none is ready.
func (c *Consumer) handle(f *flight) {
	over := false
	defer func() {
		if !over { // runtime.Goexit in the handler
			go func() {
				c.finish(f, errGoexit)
				if next := c.next(); next != nil {
					c.handle(next)
				}
			}()
		}
	}()
	for f != nil {
		c.finish(f, c.call(f))
		f = c.next()
	}
	over = true
}

var errGoexit = errors.New("pubsub: the handler ended its goroutine")

// next returns a message that is ready, or nil, when one runs less.
func (c *Consumer) next() *flight {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.ready) > 0 {
		f := c.ready[0]
		c.ready[0], c.ready = nil, c.ready[1:]
		if !f.gone {
			return f
		}
	}
	c.ready = nil
	c.running--
	c.change()
	return nil
}

// call runs the handler once. A panic is an error.
func (c *Consumer) call(f *flight) (err error) {
	ctx, cancel := context.WithCancelCause(c.work)
	defer cancel(nil)
	c.mu.Lock()
	if f.gone {
		c.mu.Unlock()
		return ErrLost
	}
	if c.noOutcome(f) {
		c.mu.Unlock()
		return errNoOutcome
	}
	f.cancel, f.tried = cancel, true
	c.mu.Unlock()
	d := &Delivery{
		Message: f.Message, Group: c.group, Attempt: f.attempt, Published: f.Published, Token: f.Token, Partition: f.Partition,
	}
	ctx, done := c.q.trace.handle(ctx, d)
	err = errGoexit
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("pubsub: panic: %v", p)
		}
		done(err)
	}()
	err = c.h(ctx, d)
	return err
}

// finish does what the end of a delivery asks for.
func (c *Consumer) finish(f *flight, err error) {
	c.mu.Lock()
	f.cancel = nil
	gone := f.gone
	c.mu.Unlock()
	l, isLater := errors.AsType[*later](err)
	_, isDead := errors.AsType[*dead](err)
	switch {
	case err == nil:
		c.ack(f)
	case gone:
		c.leave(f)
	case err == errNoOutcome || isDead:
		c.bury(f, err)
	case c.work.Err() != nil: // it was told to end, which says nothing of the message
		c.leave(f)
	case f.attempt >= c.o.Deliveries:
		c.bury(f, err)
	case isLater:
		c.again(f, max(l.d, 0))
	default:
		c.again(f, c.o.pause(f.attempt-f.Delivered+1))
	}
}

// again delivers the message once more after d. It stays here meanwhile, and its key with it, unless the consumer is about to end.
func (c *Consumer) again(f *flight, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.draining { // it is not released, which would forget that it has failed: Close lets it go
		c.remove(f)
		return
	}
	f.attempt++
	f.timer = time.AfterFunc(d, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if f.timer != nil { // it has not been taken away meanwhile
			f.timer = nil
			c.start(f)
		}
	})
}

// ack settles a message, together with others.
func (c *Consumer) ack(f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acks = append(c.acks, f.Receipt)
	c.remove(f)
	if !c.acking {
		c.acking = true
		go c.sendAcks()
	}
}

// sendAcks settles what there is until there is nothing. What cannot be settled for as long as a lease is handed out again.
func (c *Consumer) sendAcks() {
	pause, well := minPause, time.Now()
	for {
		c.mu.Lock()
		rs := c.acks
		if len(rs) == 0 || c.settle.Err() != nil {
			c.acking = false
			c.change()
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		ctx, cancel := context.WithTimeout(c.settle, c.o.Lease/3)
		err := c.c.Ack(ctx, rs)
		cancel()
		if err != nil && time.Since(well) < c.o.Lease {
			sleep(c.settle, pause)
			pause = min(2*pause, maxPause)
			continue
		}
		pause, well = minPause, time.Now()
		c.mu.Lock()
		c.acks = c.acks[len(rs):]
		c.change()
		c.mu.Unlock()
	}
}

// What has failed is tried again after a pause that doubles from minPause to maxPause.
const (
	minPause = 10 * time.Millisecond
	maxPause = time.Second
)

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// remove forgets a message and lets the next one of its key go. The caller holds c.mu.
func (c *Consumer) remove(f *flight) {
	if _, here := c.flights[f]; !here {
		return
	}
	delete(c.flights, f)
	if f.timer != nil {
		f.timer.Stop()
		f.timer = nil
	}
	if c.ordered(f) {
		line := c.lines[f.Key]
		for len(line) > 0 && line[0].gone {
			delete(c.flights, line[0])
			line = line[1:]
		}
		if len(line) == 0 {
			delete(c.lines, f.Key)
		} else {
			c.lines[f.Key] = line[1:]
			c.start(line[0])
		}
	}
	c.change()
}

// leave forgets a message that is no longer this consumer's.
func (c *Consumer) leave(f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(f)
}

// bury makes a dead letter of a message. Until that has worked, its key waits.
func (c *Consumer) bury(f *flight, cause error) {
	d := DeadLetter{Message: f.Message, Group: c.group, Attempts: f.attempt, Error: cause.Error()}
	if cause == errNoOutcome {
		d.Attempts = f.Delivered - 1
	}
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		ctx, cancel := context.WithTimeout(c.settle, c.o.Lease/3)
		err := c.c.Bury(ctx, f.Receipt, d)
		cancel()
		if err == nil {
			c.q.trace.dead(d)
			break
		}
		c.mu.Lock()
		gone := f.gone
		c.mu.Unlock()
		if gone || c.work.Err() != nil || !sleep(c.settle, pause) {
			break // whoever has it next will
		}
	}
	c.leave(f)
}

// release gives messages back.
func (c *Consumer) release(fs []*flight) {
	ctx, cancel := context.WithTimeout(c.settle, c.o.Lease/3)
	defer cancel()
	c.c.Release(ctx, receipts(fs)) // if that fails, their leases end
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range fs {
		c.remove(f)
	}
}

// extend keeps the leases of all that is here: every third of a lease, and soon again where that has failed.
func (c *Consumer) extend() {
	next := c.o.Lease / 3
	for sleep(c.settle, next) {
		next = c.o.Lease / 3
		c.mu.Lock()
		fs := slices.Collect(maps.Keys(c.flights))
		fs = slices.DeleteFunc(fs, func(f *flight) bool { return f.gone })
		c.mu.Unlock()
		if len(fs) == 0 {
			continue
		}
		asked := time.Now()
		ctx, cancel := context.WithTimeout(c.settle, c.o.Lease/4)
		kept, err := c.c.Extend(ctx, receipts(fs))
		cancel()
		if err != nil {
			next = c.o.Lease / margin
			continue
		}
		c.mu.Lock()
		for i, f := range fs {
			if i < len(kept) && kept[i] {
				f.until = asked.Add(c.o.Lease)
			} else {
				c.lose(f)
			}
		}
		c.mu.Unlock()
	}
}

// margin is the part of a lease that a handler has to end in before others can have its message.
const margin = 12

// expire gives up what has not been extended in time, whatever Extend is doing.
func (c *Consumer) expire() {
	for sleep(c.settle, c.o.Lease/margin) {
		c.mu.Lock()
		for f := range c.flights {
			if time.Until(f.until) < 2*c.o.Lease/margin { // it is looked at again a margin later
				c.lose(f)
			}
		}
		c.mu.Unlock()
	}
}

func receipts(fs []*flight) []Receipt {
	rs := make([]Receipt, len(fs))
	for i, f := range fs {
		rs[i] = f.Receipt
	}
	return rs
}

// lose ends what is done with a message that others may have by now. The caller holds c.mu.
func (c *Consumer) lose(f *flight) {
	if _, here := c.flights[f]; !here || f.gone {
		return
	}
	f.gone = true
	if f.cancel != nil {
		f.cancel(ErrLost)
		return // its handler returns, or not
	}
	if f.timer != nil || slices.Contains(c.ready, f) {
		c.remove(f)
	}
}

// drain gives back what no handler has, waits for those that do, and leaves the group.
func (c *Consumer) drain() {
	c.mu.Lock()
	c.draining = true
	fs := c.ready
	for f := range c.flights {
		if f.timer != nil {
			c.remove(f) // as in again
		}
	}
	for key, line := range c.lines {
		fs = append(fs, line...)
		c.lines[key] = nil
	}
	c.ready = nil
	c.mu.Unlock()
	if len(fs) > 0 {
		c.release(fs)
	}
	tooLong := time.After(c.o.Drain)
	for {
		c.mu.Lock()
		over := len(c.flights) == 0 && len(c.acks) == 0 && !c.acking && c.running == 0
		changed := c.changed
		c.mu.Unlock()
		if over {
			break
		}
		select {
		case <-changed:
		case <-tooLong: // handlers hear of it, and are still waited for
			c.stopWork(ErrClosed)
			tooLong = nil
		}
	}
	c.stopWork(ErrClosed)
	ctx, cancel := context.WithTimeout(c.settle, c.o.Lease/3)
	defer cancel()
	c.c.Close(ctx)
}
