package pubsub

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// MaxGroup is the longest name of a group in bytes.
	MaxGroup = 64
	// MaxDelay is the longest delay of [Queue.PublishAfter].
	MaxDelay = 30 * 24 * time.Hour
)

// QueueOptions configure [NewQueue]. A nil *QueueOptions means the defaults.
type QueueOptions struct {
	// Trace observes the Queue. Nil observes nothing and costs nothing.
	Trace *Trace
}

// Queue keeps messages until they are handled: each group gets each message at least once. NewQueue makes it. Its methods may be
// called concurrently.
type Queue struct {
	b      QueueBackend
	trace  *Trace
	closed atomic.Bool

	mu        sync.Mutex
	consumers map[*Consumer]struct{}
}

// NewQueue returns a Queue over b. It does no I/O.
func NewQueue(b QueueBackend, o *QueueOptions) *Queue {
	if o == nil {
		o = new(QueueOptions)
	}
	return &Queue{b: b, trace: o.Trace, consumers: map[*Consumer]struct{}{}}
}

// Publish stores ms in their order, in one round trip: nil means that the engine has all of them, as safe as its documentation
// says. Each has an ID afterwards, its own or a new one; a message whose ID was published to the topic within the engine's
// DedupeWindow is stored once. So after a lost answer publish the same messages, with the IDs that they have, again.
//
// An error wraps [ErrInvalid] or [ErrTooLarge], and nothing was sent; [ErrFull], and nothing was stored; [ErrClosed]; or it is the end
// of ctx or the engine's: then any of ms may have been stored, and what is published again comes later in the order.
func (q *Queue) Publish(ctx context.Context, topic string, ms ...Message) error {
	return q.publish(ctx, topic, 0, ms)
}

// PublishAfter is Publish for messages that are handed out no sooner than after d, above 0 and at most MaxDelay. In the order of
// their keys they take their place when they are due. On engines that cannot, the error wraps [ErrUnsupported].
func (q *Queue) PublishAfter(ctx context.Context, d time.Duration, topic string, ms ...Message) error {
	if d <= 0 || d > MaxDelay {
		return fmt.Errorf("%w: delay %v: want more than 0, at most %v", ErrInvalid, d, MaxDelay)
	}
	return q.publish(ctx, topic, d, ms)
}

func (q *Queue) publish(ctx context.Context, topic string, d time.Duration, ms []Message) error {
	if err := q.usable(ctx); err != nil {
		return err
	}
	if err := checkPublish(topic, ms); err != nil || len(ms) == 0 {
		return err
	}
	for i := range ms {
		if ms[i].ID == "" {
			ms[i].ID = NewID()
		}
	}
	ctx, done := q.trace.publish(ctx, topic, &ms)
	err := q.b.Publish(ctx, topic, ms, d)
	if err != nil {
		err = fmt.Errorf("pubsub: publish %q: %w", topic, err)
	}
	done(err)
	return err
}

// Stats is what waits in a topic for a group.
type Stats struct {
	Waiting int // not handed out yet
	Pending int // handed out, and not settled; engines count those whose lease has ended here or as waiting
	Delayed int // in the topic, for all groups, and not due yet
	Dead    int // dead letters of the group
}

// Stats returns what waits in topic for group. A group that nobody has joined yet waits for all that the topic keeps.
func (q *Queue) Stats(ctx context.Context, topic, group string) (Stats, error) {
	if err := q.checkGroup(ctx, topic, group); err != nil {
		return Stats{}, err
	}
	s, err := q.b.Stats(ctx, topic, group)
	if err != nil {
		return Stats{}, fmt.Errorf("pubsub: stats of %q for %q: %w", topic, group, err)
	}
	return s, nil
}

// DeadLetter is a message that a group could not handle.
type DeadLetter struct {
	Message
	Group    string
	Attempts int       // how often it was tried
	Error    string    // the last error, or why it was given up without one
	At       time.Time // when
	// Ref tells dead letters of a group apart.
	Ref string
}

// DeadLetters yields the dead letters of group, the oldest first. It ends with an error, last, or after the newest.
func (q *Queue) DeadLetters(ctx context.Context, topic, group string) iter.Seq2[DeadLetter, error] {
	return func(yield func(DeadLetter, error) bool) {
		if err := q.checkGroup(ctx, topic, group); err != nil {
			yield(DeadLetter{}, err)
			return
		}
		for after := ""; ; {
			ds, err := q.b.Dead(ctx, topic, group, after, 100)
			if err != nil {
				yield(DeadLetter{}, fmt.Errorf("pubsub: dead letters of %q for %q: %w", topic, group, err))
				return
			}
			for _, d := range ds {
				if !yield(d, nil) {
					return
				}
				after = d.Ref
			}
			if len(ds) == 0 {
				return
			}
		}
	}
}

// Redrive puts a dead letter back into its topic, for its group alone and with a count that begins anew, and removes it. It reports
// whether it was there. If the outcome is unknown it may be done again: the message is not doubled within the engine's
// DedupeWindow.
func (q *Queue) Redrive(ctx context.Context, d DeadLetter) (bool, error) {
	if err := q.checkGroup(ctx, d.Topic, d.Group); err != nil {
		return false, err
	}
	ok, err := q.b.Redrive(ctx, d)
	if err != nil {
		return false, fmt.Errorf("pubsub: redrive %q of %q for %q: %w", d.ID, d.Topic, d.Group, err)
	}
	return ok, nil
}

// Close drains all consumers, as [Consumer.Drain] does, at most until ctx ends. Later calls of any method return ErrClosed. The client of the
// engine stays as it is.
func (q *Queue) Close(ctx context.Context) error {
	if ctx == nil {
		return fmt.Errorf("%w: Close with nil: want a context", ErrInvalid)
	}
	q.mu.Lock()
	if q.closed.Swap(true) {
		q.mu.Unlock()
		return fmt.Errorf("pubsub: close: %w", ErrClosed)
	}
	cs := slices.Collect(maps.Keys(q.consumers))
	q.mu.Unlock()
	errs := make([]error, len(cs))
	var all sync.WaitGroup
	for i, c := range cs {
		all.Go(func() { errs[i] = c.Drain(ctx) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func (q *Queue) usable(ctx context.Context) error { return usable(ctx, &q.closed) }

func (q *Queue) checkGroup(ctx context.Context, topic, group string) error {
	if err := q.usable(ctx); err != nil {
		return err
	}
	if err := CheckTopic(topic); err != nil {
		return err
	}
	return CheckGroup(group)
}
