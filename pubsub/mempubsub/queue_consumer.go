package mempubsub

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/concordkit/concord/pubsub"
)

// consumer is a [pubsub.QueueConsumer].
type consumer struct {
	q     *Queue
	t     *topic
	g     *group
	lease time.Duration
	left  bool
}

// Fetch implements pubsub.QueueConsumer.
func (c *consumer) Fetch(ctx context.Context, n int) ([]pubsub.Received, error) {
	for {
		c.q.mu.Lock()
		if c.left {
			c.q.mu.Unlock()
			return nil, pubsub.ErrClosed
		}
		now := time.Now()
		rs := c.fetch(now, n)
		changed, next := c.t.changed, c.next(now)
		c.q.mu.Unlock()
		if len(rs) > 0 {
			return rs, nil
		}
		timer := time.NewTimer(next)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
}

// fetch takes what there is for the consumer.
func (c *consumer) fetch(now time.Time, n int) (rs []pubsub.Received) {
	c.t.ripen(now)
	c.g.expire(now)
	c.g.assign()
	give := func(v *given) {
		v.to, v.until = c, now.Add(c.lease)
		v.delivered++
		if c.g.tokens++; len(c.g.owners) > 1 {
			v.token = c.g.epochs[v.part]
		} else {
			v.token = c.g.tokens
		}
		c.g.given[v.seq] = v
		rs = append(rs, pubsub.Received{
			Message: v.Message, Receipt: receipt{v.seq, v.delivered}, Delivered: v.delivered, Token: v.token, Partition: v.part,
			Published: v.published, Asked: now,
		})
	}
	c.g.again = slices.DeleteFunc(c.g.again, func(v *given) bool {
		if len(rs) == n || !c.mine(v.part) {
			return false
		}
		give(v)
		return true
	})
	for i := range c.t.parts {
		p := &c.t.parts[i]
		for c.mine(i) && len(rs) < n && c.g.next[i] < p.base+len(p.log) {
			m := p.log[c.g.next[i]-p.base]
			c.g.next[i]++
			if m.only == "" || m.only == c.g.name {
				give(&given{message: m})
			}
		}
	}
	c.t.trim()
	return rs
}

// mine reports whether the consumer may have messages of a partition.
func (c *consumer) mine(part int) bool { return len(c.g.owners) == 1 || c.g.owners[part] == c }

// next returns when to look again, if nothing changes.
func (c *consumer) next(now time.Time) time.Duration {
	d := time.Hour
	if len(c.t.delayed) > 0 {
		d = min(d, c.t.delayed[0].due.Sub(now))
	}
	for _, v := range c.g.given {
		d = min(d, v.until.Sub(now))
	}
	return max(d, 0)
}

// receipt names one delivery of a message.
type receipt struct {
	seq       uint64
	delivered int
}

// has returns a message that was handed out, and whether it is still this consumer's.
func (c *consumer) has(r pubsub.Receipt) (*given, bool) {
	rc, ok := r.(receipt)
	if !ok {
		return nil, false
	}
	v := c.g.given[rc.seq]
	return v, v != nil && v.to == c && v.delivered == rc.delivered
}

// Ack implements pubsub.QueueConsumer.
func (c *consumer) Ack(_ context.Context, rs []pubsub.Receipt) error {
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	for _, r := range rs {
		if rc, ok := r.(receipt); ok {
			c.settle(rc.seq)
		}
	}
	if len(c.g.owners) > 1 {
		c.t.change() // a partition may be free
	}
	return nil
}

// settle ends a message for the group.
func (c *consumer) settle(seq uint64) {
	delete(c.g.given, seq)
	c.g.again = slices.DeleteFunc(c.g.again, func(v *given) bool { return v.seq == seq })
}

// Extend implements pubsub.QueueConsumer.
func (c *consumer) Extend(_ context.Context, rs []pubsub.Receipt) ([]bool, error) {
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	now := time.Now()
	c.g.expire(now)
	kept := make([]bool, len(rs))
	for i, r := range rs {
		if v, ok := c.has(r); ok {
			v.until = now.Add(c.lease)
			kept[i] = true
		}
	}
	return kept, nil
}

// Bury implements pubsub.QueueConsumer.
func (c *consumer) Bury(_ context.Context, r pubsub.Receipt, d pubsub.DeadLetter) (bool, error) {
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	v, ok := c.has(r)
	if !ok {
		return false, nil
	}
	d.Message, d.Group, d.At, d.Ref = v.Message, c.g.name, time.Now(), strconv.FormatUint(v.seq, 10)
	at, _ := slices.BinarySearchFunc(c.g.dead, v.seq, func(d pubsub.DeadLetter, seq uint64) int { return cmp.Compare(ref(d), seq) })
	c.g.dead = slices.Insert(c.g.dead, at, d)
	c.settle(v.seq)
	return true, nil
}

// Release implements pubsub.QueueConsumer. It does not count the delivery.
func (c *consumer) Release(_ context.Context, rs []pubsub.Receipt) error {
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	for _, r := range rs {
		if v, ok := c.has(r); ok {
			v.delivered--
			c.g.giveBack(v)
		}
	}
	c.t.change()
	return nil
}

// Close implements pubsub.QueueConsumer.
func (c *consumer) Close(context.Context) error {
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	c.left = true
	c.g.consumers = slices.DeleteFunc(c.g.consumers, func(o *consumer) bool { return o == c })
	for _, v := range slices.Collect(maps.Values(c.g.given)) {
		if v.to == c {
			c.g.giveBack(v)
		}
	}
	c.t.change()
	return nil
}
