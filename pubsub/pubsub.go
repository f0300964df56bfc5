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
// Where messages travel is the business of a backend: mempubsub keeps them in this process, natspubsub sends them over core
// NATS, redispubsub over Redis pub/sub. Everything else is the same on every engine.
//
// # What is promised
//
// [Subscription]: a message that was published after Subscribe had returned is delivered, once, or a gap is reported in its
// place: nothing is lost without a word. Messages of one publisher to one topic come in the order in which they were published.
// [Bus.Publish] hands messages over; [Bus.Flush] returns when the engine has them, and [Bus.Close] flushes: a process that exits
// after either has lost nothing of what it was told was sent.
//
// What nobody promises here: that a message is kept while there is no subscriber, that a publisher learns whether anybody
// got it, or an order between publishers.
//
// # Slow subscribers
//
// Each subscription has a buffer of its own, bounded by [SubscribeOptions.Buffer]. [SubscribeOptions.Overflow] says what happens
// when it is full. Whatever it is, memory is bounded and the loop hears of it.
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
	// ErrUnsupported reports what the engine cannot do.
	ErrUnsupported = errors.New("pubsub: not supported by the engine")
	// ErrDisconnected is the cause of a gap at which the connection to the engine was lost.
	ErrDisconnected = errors.New("pubsub: disconnected")
)

type tooLarge struct{}

func (tooLarge) Error() string        { return "pubsub: too large" }
func (tooLarge) Is(target error) bool { return target == ErrInvalid }
