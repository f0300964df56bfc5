package pubsub

import (
	"context"
	"errors"
	"time"
)

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
