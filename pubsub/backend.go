package pubsub

import "context"

// BusBackend carries the messages of a [Bus]. Its methods may be called concurrently. Every promise here has a case in package
// pubsubtest.
type BusBackend interface {
	// Publish hands ms, at least one, to the engine in their order, after all that the same goroutine has handed over before. The
	// topic is theirs, whatever their Topic says. It need not wait until the engine has them. It returns ErrTooLarge, before any
	// of them is sent, when one is longer than the engine takes. After any other error some may have been sent, the first ones
	// first. It keeps Header and Data of ms, which nobody changes, but not the slice.
	Publish(ctx context.Context, topic string, ms []Message) error

	// Flush returns when the engine has all messages whose Publish has returned before.
	Flush(ctx context.Context) error

	// Subscribe gives s the messages whose topics fit pattern, until ctx ends or it cannot go on; it returns why. It calls
	// s.Active once, as soon as all that is published from then on, also by others, will come; until then an error ends it.
	// Later it rides out faults that may pass, and calls s.Gap after each before the first message that came after it. Calls
	// of s come one at a time. Once ctx has ended no message is taken from the engine; those taken before still go to s.
	Subscribe(ctx context.Context, pattern string, s Sink) error
}

// Sink takes what a subscription gets. A [Bus] has one for each.
type Sink interface {
	// Active says that the subscription is active.
	Active()
	// Deliver takes messages of a topic in order, whatever their Topic says. It waits, where the subscription blocks, until
	// there is room, ctx ends or the subscription does; then it returns an error, and the rest of ms is lost. The slice may be
	// used again afterwards.
	Deliver(ctx context.Context, topic string, ms []Message) error
	// Gap says that messages may be missing at this place, and why.
	Gap(cause error)
}
