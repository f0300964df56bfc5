package pubsub

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// ConsumeOptions configure [Queue.Consume]. A nil *ConsumeOptions means the defaults.
type ConsumeOptions struct {
	// Concurrency is how many handlers run at a time, 1 to 10,000. It defaults to 10. Messages with the same Key, unless it is
	// empty, are handled one after the other, in the order of the topic.
	Concurrency int
	// Unordered lets messages with the same Key be handled at the same time.
	Unordered bool
	// Prefetch is how many messages this consumer has at a time, Concurrency to 100,000. It defaults to Concurrency. An engine with
	// Partitions may hold more for it, as it says. Engines count a message as delivered when it gets here, whether a handler
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
