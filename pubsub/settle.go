package pubsub

import (
	"context"
	"errors"
	"slices"
	"time"
)

// verdict is how a delivery has ended.
type verdict struct {
	err   error
	dead  bool
	again bool // after this, instead of the next pause
	after time.Duration
}

var errGoexit = errors.New("pubsub: the handler ended its goroutine")

// judge reads what a handler has returned. It calls the error's methods, which are not ours and may panic.
func judge(err error) (v verdict) {
	if err == nil {
		return v
	}
	v.err = err
	_ = err.Error() // so that nobody later finds that it panics
	_, v.dead = errors.AsType[*dead](err)
	if l, ok := errors.AsType[*later](err); ok {
		v.again, v.after = true, max(l.d, 0)
	}
	return v
}

// finish does what the end of a delivery asks for, and returns the next message to handle, if one is ready.
func (c *Consumer) finish(f *flight, v verdict) *flight {
	c.mu.Lock()
	f.cancel = nil
	switch {
	case v.err == nil:
		c.ack(f)
	case f.gone:
		c.remove(f)
	case !v.dead && c.work.Err() != nil: // it was told to end, which says nothing of the message
		c.remove(f)
	case !v.dead && f.attempt < c.o.Deliveries:
		if !v.again {
			v.after = c.o.pause(f.attempt - f.Delivered + 1)
		}
		c.again(f, v.after)
	default:
		c.mu.Unlock()
		c.bury(f, v.err)
		c.mu.Lock()
		c.remove(f)
	}
	defer c.mu.Unlock()
	return c.next()
}

// again delivers the message once more after d. It stays here meanwhile, and its key with it, unless the consumer is about to end.
// The caller holds c.mu.
func (c *Consumer) again(f *flight, d time.Duration) {
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

const (
	// linger is for how long an ack waits for others to go with it, unless there are manyAcks.
	linger   = time.Millisecond
	manyAcks = 256
)

// ack settles a message, together with others. The caller holds c.mu.
func (c *Consumer) ack(f *flight) {
	c.acks = append(c.acks, f.Receipt)
	if n := len(c.acks); n == 1 || n == manyAcks {
		c.hurryAcks()
	}
	c.remove(f)
}

// hurryAcks lets sendAcks look.
func (c *Consumer) hurryAcks() {
	select {
	case c.ackNow <- struct{}{}:
	default:
	}
}

// sendAcks settles what there is. What has failed goes with the next ones, however long: what is settled late is handed out once less.
// Only a consumer that is about to end gives up after a lease.
func (c *Consumer) sendAcks() {
	timer := time.NewTimer(linger)
	defer timer.Stop()
	var since time.Time // it has failed, zero while all is well
	pause := minPause
	for c.awaitAcks(timer) {
		err := c.sendSome(since)
		if err == nil {
			since, pause = time.Time{}, minPause
			continue
		}
		if since.IsZero() {
			since = time.Now()
		}
		sleep(c.settle, min(pause, c.o.Lease/margin)) // the next ones wait as well
		pause = min(2*pause, maxPause)
		c.hurryAcks()
	}
}

// awaitAcks waits until there is something to settle, and a little longer if that is not much. It reports false at the end.
func (c *Consumer) awaitAcks(timer *time.Timer) bool {
	select {
	case <-c.ackNow:
	case <-c.settle.Done():
		return false
	}
	c.mu.Lock()
	few := len(c.acks) < manyAcks && !c.draining
	c.mu.Unlock()
	if few {
		timer.Reset(linger)
		select {
		case <-timer.C:
		case <-c.ackNow:
		}
	}
	return true
}

// sendSome settles what there is once. It has failed since then, if that is not zero.
func (c *Consumer) sendSome(since time.Time) error {
	c.mu.Lock()
	rs := c.acks
	c.acks, c.acking = nil, len(rs)
	c.mu.Unlock()
	if len(rs) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.settle, c.o.Lease/3)
	err := c.c.Ack(ctx, rs)
	cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acking = 0
	if err != nil && (since.IsZero() || !c.draining || time.Since(since) <= c.o.Lease) {
		if u, ok := errors.AsType[*UnsettledError](err); ok {
			rs = u.Receipts
		}
		c.acks = append(slices.Clip(rs), c.acks...)
	}
	c.change()
	return err
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
	if !f.here {
		return
	}
	c.takeOut(f)
	if f.timer != nil {
		f.timer.Stop()
		f.timer = nil
	}
	if c.ordered(f) {
		line := c.lines[f.Key]
		for len(line) > 0 && line[0].gone {
			c.takeOut(line[0])
			line = line[1:]
		}
		if len(line) == 0 {
			delete(c.lines, f.Key)
		} else {
			c.lines[f.Key] = line[1:]
			c.start(line[0])
		}
	}
	if c.draining || c.free() > 0 {
		c.change()
	}
}

// takeOut takes a message off the list of what is here. The caller holds c.mu.
func (c *Consumer) takeOut(f *flight) {
	f.here = false
	n := len(c.flights) - 1
	last := c.flights[n]
	c.flights[f.at], last.at = last, f.at
	c.flights[n] = nil
	c.flights = c.flights[:n]
}

// bury makes a dead letter of a message. Until that has worked, its key waits.
func (c *Consumer) bury(f *flight, cause error) {
	d := DeadLetter{Message: f.Message, Group: c.group, Attempts: f.attempt, Error: cause.Error()}
	if cause == errNoOutcome {
		d.Attempts = f.Delivered - 1
	}
	unsure := false // an answer was lost
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		ctx, cancel := context.WithTimeout(c.settle, c.o.Lease/3)
		buried, err := c.c.Bury(ctx, f.Receipt, d)
		cancel()
		if err == nil {
			if buried || unsure {
				c.q.trace.dead(d)
			}
			return
		}
		unsure = true
		c.mu.Lock()
		gone := f.gone
		c.mu.Unlock()
		if gone || c.work.Err() != nil || !sleep(c.settle, pause) {
			return // whoever has it next will
		}
	}
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
