// Package pubsub carries messages between goroutines and processes.
//
// A [Bus] fans out: each subscriber that is there gets each message, at most once, in the order in which its publisher sent
// it. Nothing is kept for those that come later.
//
//	bus := pubsub.NewBus(natspubsub.NewBus(nc, nil), nil)
//	sub, err := bus.Subscribe(ctx, "orders.*", nil) // active when it returns
//	if err != nil {
//		return err
//	}
//	err = bus.Publish(ctx, "orders.created", pubsub.Message{Data: data})
//
//	for m, err := range sub.All(ctx) {
//		if errors.Is(err, pubsub.ErrGap) {
//			continue // something may be missing: look at the source
//		}
//		if err != nil {
//			return err
//		}
//		fmt.Println(m.Topic, m.Data)
//	}
//
// A [Queue] keeps messages: each group of consumers gets each message at least once, also if it comes later, and what cannot be
// handled becomes a dead letter.
//
//	q := pubsub.NewQueue(natspubsub.NewQueue(js, nil), nil)
//	err := q.Publish(ctx, "orders", pubsub.Message{ID: id, Key: customer, Data: data}) // nil: it is stored
//
//	c, err := q.Consume(ctx, "orders", "billing", func(ctx context.Context, d *pubsub.Delivery) error {
//		return bill(ctx, d.Data) // nil: it is done with; an error: it comes again
//	}, nil)
//	defer c.Drain(ctx)
//
// Where messages travel is the business of a backend: mempubsub keeps them in this process, natspubsub sends them over core
// NATS and keeps them in JetStream, redispubsub over Redis pub/sub and in Streams. Everything else is the same on every engine.
//
// # What a Bus promises
//
// [Subscription]: a message that was published after Subscribe had returned is delivered, once, or a gap is reported in its
// place: nothing is lost without a word. Messages of one publisher to one topic come in the order in which they were published.
// [Bus.Publish] hands messages over; [Bus.Flush] returns when the engine has them, and [Bus.Close] flushes: a process that exits
// after either has lost nothing of what it was told was sent.
//
// What nobody promises here: that a message is kept while there is no subscriber, that a publisher learns whether anybody
// got it, or an order between publishers.
//
// Each subscription has a buffer of its own, bounded by [SubscribeOptions.Buffer]. [SubscribeOptions.Overflow] says what happens
// when it is full. Whatever it is, memory is bounded and the loop hears of it.
//
// # What a Queue promises
//
// What Publish's nil means is the engine's [Durability]; after an error, publish the same messages with the same IDs again. A message
// is handed out until a handler has returned nil for it, or it has become a dead letter: after [ConsumeOptions.Deliveries] failures
// that a handler saw, by [Dead], or when it was handed out twice as often and ten times more and its consumers died each time. So a handler
// may see a message more than once, and has to bear that: see [Once], and [Delivery] for its Token. A message is not handled
// twice at once, unless its consumer was paused or cut off for longer than its lease; a consumer that is cut off tells its handlers
// before.
//
// Messages with the same Key are handled one at a time and in order within one consumer, failures included: what comes after one
// waits until it is done with. Across the consumers of a group that holds where the engine is told to have Partitions, of which each is
// one consumer's at a time; messages without a Key are spread over them. It ends where a lease is lost.
//
// # Topics and patterns
//
// A topic is one or more tokens with dots between them, such as "orders.eu.created": at most 255 bytes of UTF-8, without
// spaces, control characters, "*" and ">", not beginning with "$" or "_". In a pattern the token "*" stands for any one token, and
// ">" at the end for one or more.
package pubsub

import "errors"

// Errors that callers test for with errors.Is.
var (
	// ErrInvalid reports bad input. The error that wraps it names the value and the rule; nothing was sent.
	ErrInvalid = errors.New("pubsub: invalid")
	// ErrTooLarge reports a message that is longer than the engine takes; nothing was sent. It wraps ErrInvalid.
	ErrTooLarge error = tooLarge{}
	// ErrClosed reports a call after Close, or a subscription that Close or Drain has ended.
	ErrClosed = errors.New("pubsub: closed")
	// ErrGap reports that messages may be missing. The error is a [*GapError], and the loop goes on.
	ErrGap = errors.New("pubsub: gap")
	// ErrOverflow ends a subscription with [Disconnect] whose buffer was full.
	ErrOverflow = errors.New("pubsub: subscriber too slow")
	// ErrLost is the cause of the end of a handler's context when its message is no longer this consumer's.
	ErrLost = errors.New("pubsub: lease lost")
	// ErrFull reports that a topic keeps as many messages as it may; nothing was stored.
	ErrFull = errors.New("pubsub: the topic is full")
	// ErrUnsupported reports what the engine cannot do.
	ErrUnsupported = errors.New("pubsub: not supported by the engine")
	// ErrDisconnected is the cause of a gap at which the connection to the engine was lost.
	ErrDisconnected = errors.New("pubsub: disconnected")
)

type tooLarge struct{}

func (tooLarge) Error() string        { return "pubsub: too large" }
func (tooLarge) Is(target error) bool { return target == ErrInvalid }
