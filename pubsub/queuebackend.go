package pubsub

import (
	"context"
	"time"
)

// QueueBackend keeps the messages of a [Queue]. Its methods may be called concurrently. Every promise here has a case in package
// pubsubtest.
type QueueBackend interface {
	// Publish stores ms, at least one, in their order and in one round trip, to be handed out no sooner than after delay, by
	// the engine's clock. Each has an ID: one that was published to the topic within the dedupe window is not stored again. It
	// returns ErrTooLarge, before any of them is sent, for one message or all together, ErrFull, and ErrUnsupported for a delay
	// that the engine cannot keep. After any other error each may have been stored. The topic is theirs, whatever their Topic says;
	// it keeps nothing of ms.
	Publish(ctx context.Context, topic string, ms []Message, delay time.Duration) error

	// Join makes a consumer of a group, and the group if there is none: it begins with the oldest message that the topic keeps.
	Join(ctx context.Context, topic, group string, o JoinOptions) (QueueConsumer, error)

	// Stats returns what waits for a group, which need not exist.
	Stats(ctx context.Context, topic, group string) (Stats, error)

	// Dead returns up to n dead letters of a group, the oldest first, after the one with that Ref; all of them after "".
	Dead(ctx context.Context, topic, group, after string, n int) ([]DeadLetter, error)

	// Redrive puts a dead letter back, so that only its group gets it, with a delivery count that begins anew, and removes it. It
	// reports whether it was there.
	Redrive(ctx context.Context, d DeadLetter) (bool, error)

	// Info tells what the engine promises and takes.
	Info(ctx context.Context) (QueueInfo, error)
}

// JoinOptions are what a consumer wants of its backend.
type JoinOptions struct {
	// Prefetch is how many messages the consumer has at most, not counting those that are about to be settled, nor those that an
	// engine with Partitions keeps until it is asked for them.
	Prefetch int
	// Lease is how long a message is the consumer's after it was handed out or extended.
	Lease time.Duration
}

// QueueConsumer is a member of a group. Its methods may be called concurrently, but for Fetch, which one goroutine calls.
type QueueConsumer interface {
	// Fetch waits for messages and returns up to n, at least one, in the order of the topic; those whose lease has ended
	// elsewhere come first. Each is this consumer's for the lease from then on. It rides out faults that may pass, for as long
	// as ctx; other errors end the consumer.
	Fetch(ctx context.Context, n int) ([]Received, error)

	// Ack settles messages: the group does not get them again, if it is still the group that it was. It may be called for messages
	// that are no longer this consumer's. After an error each may have been settled, or not; an [*UnsettledError] names those that
	// were not.
	Ack(ctx context.Context, rs []Receipt) error

	// Extend gives each message a fresh lease and returns which of them, in the order of rs, are still this consumer's: those
	// that are not have been handed out again, or settled, or may be soon. With an error those that are true were extended, and
	// of the rest nothing is known.
	Extend(ctx context.Context, rs []Receipt) ([]bool, error)

	// Bury makes a dead letter of a message and settles it, both or neither, and once, whatever was lost before. It reports
	// whether it has done so: false, where it was done before, or the message is no longer this consumer's and whoever has it
	// decides.
	Bury(ctx context.Context, r Receipt, d DeadLetter) (bool, error)

	// Release gives messages back that no handler has seen, so that others get them soon, and does not count the delivery
	// if the engine can do so. It leaves alone those that are no longer this consumer's.
	Release(ctx context.Context, rs []Receipt) error

	// Close leaves the group. What is not settled is handed out to others when its lease ends, or sooner.
	Close(ctx context.Context) error
}

// UnsettledError tells which messages an Ack could not settle; the others are settled.
type UnsettledError struct {
	Receipts []Receipt // of those that are left
	Err      error     // why, which it wraps
}

func (e *UnsettledError) Error() string { return e.Err.Error() }
func (e *UnsettledError) Unwrap() error { return e.Err }

// Receipt is a backend's name for a message that it has handed out.
type Receipt any

// Received is a message that was handed out.
type Received struct {
	Message
	Receipt   Receipt
	Delivered int       // how often it was handed out, with this time
	Token     uint64    // see [Delivery]
	Partition int       // of the topic, 0 to the engine's Partitions-1
	Published time.Time // by the engine's clock
	Asked     time.Time // when the request that got it was sent, or later: its lease counts from then
}

// QueueInfo tells what an engine promises and takes.
type QueueInfo struct {
	Durability Durability
	// DedupeWindow is for how long an ID is remembered.
	DedupeWindow time.Duration
	// Partitions is how many parts a topic has. A message is in the one that [Message.Partition] tells, and one consumer of a group
	// has it at a time. 0 means that consumers share a topic.
	Partitions int
	// Delays says whether messages can be delayed.
	Delays bool
}

// Durability says what Publish's nil means.
type Durability int

// Durabilities from the weakest to the strongest.
const (
	Volatile   Durability = iota + 1 // in the memory of a process
	Buffered                         // written, and lost if the machine fails within the engine's sync interval
	Replicated                       // on a majority of the servers, each as Buffered
	Synced                           // on disk, of a majority where there is more than one server
)

// String returns the name of d.
func (d Durability) String() string {
	switch d {
	case Volatile:
		return "volatile"
	case Buffered:
		return "buffered"
	case Replicated:
		return "replicated"
	case Synced:
		return "synced"
	}
	return "unknown"
}
