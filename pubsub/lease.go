package pubsub

import (
	"context"
	"slices"
	"time"
)

// extend keeps the leases of all that is here: every third of a lease, and soon again where that has failed.
func (c *Consumer) extend() {
	next := c.o.Lease / 3
	for sleep(c.settle, next) {
		next = c.o.Lease / 3
		c.mu.Lock()
		fs := slices.DeleteFunc(slices.Clone(c.flights), func(f *flight) bool { return f.gone })
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
		}
		c.mu.Lock()
		for i, f := range fs {
			switch {
			case i < len(kept) && kept[i]:
				f.until = asked.Add(c.o.Lease)
			case err == nil:
				c.lose(f)
			}
		}
		c.mu.Unlock()
	}
}

// margin is the part of a lease that a handler has to end in before others can have its message.
const margin = 12

// spent reports whether a message's lease ends so soon that its handler has to, since expire looks again a margin later. The caller
// holds c.mu.
func (c *Consumer) spent(f *flight) bool { return time.Until(f.until) < 2*c.o.Lease/margin }

// expire gives up what has not been extended in time, whatever Extend is doing.
func (c *Consumer) expire() {
	for sleep(c.settle, c.o.Lease/margin) {
		c.mu.Lock()
		for _, f := range slices.Clone(c.flights) { // lose takes some out
			if c.spent(f) {
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
	if !f.here || f.gone {
		return
	}
	f.gone = true
	if f.cancel != nil {
		f.cancel(ErrLost)
		return // its handler returns, or not
	}
	if f.timer != nil || f.queued {
		c.remove(f)
	}
}
