package pubsub

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Handler handles a message. It returns nil when the message is done with, and any error to have it again: after the next
// pause of the backoff list, after as long as [After] says, or, with [Dead] or after the last delivery, as a dead letter. A panic
// is an error. What is done with is settled with others, about a millisecond later; a process that dies before has it handled again.
// The context ends with the cause [ErrLost] when the message is no longer this consumer's, and with
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
