package natspubsub

import (
	"context"
	"fmt"
	"time"

	"github.com/concordkit/concord/pubsub"
)

const (
	// How long a request for messages waits: a quarter of a lease, within these. It bounds how much of a lease may have gone before a message is
	// here, and how long it takes to find that the link is dead.
	minPull = 100 * time.Millisecond
	maxPull = 5 * time.Second
	// minPullSlack is what an answer may take beyond that.
	minPullSlack = time.Second
	// drainTime is how long giving up a partition may take.
	drainTime = 5 * time.Second
)

func (c *queueConsumer) pullTime() time.Duration { return min(max(c.lease/4, minPull), maxPull) }

// patience is how long what is done in the background may take until it is left to the end of leases.
func (c *queueConsumer) patience() time.Duration { return max(c.pullTime(), minPullSlack) }

// Fetch implements pubsub.QueueConsumer. Without Partitions there are never more messages on their way than n, and what comes is given
// back when a Fetch is not followed by another for a quarter of a lease, or its context ends. With Partitions it is kept.
func (c *queueConsumer) Fetch(ctx context.Context, n int) ([]pubsub.Received, error) {
	rs, err := c.fetch(ctx, n)
	if err != nil {
		if c.share == nil {
			c.mu.Lock()
			c.stopAsking()
			c.mu.Unlock()
		}
		return nil, fmt.Errorf("natspubsub: fetch %q for %q: %w", c.t.name, c.group, err)
	}
	return rs, nil
}

func (c *queueConsumer) fetch(ctx context.Context, n int) ([]pubsub.Received, error) {
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		c.mu.Lock()
		if c.left {
			c.mu.Unlock()
			return nil, pubsub.ErrClosed
		}
		if c.idle != nil {
			c.idle.Stop()
		}
		if c.share != nil {
			c.gatherAgain()
		}
		rs, err := c.take(n), c.err
		if len(rs) > 0 && c.share == nil && 2*c.open() >= n-len(rs) {
			c.watchIdle()
			c.mu.Unlock()
			return rs, nil
		}
		c.expire(time.Now())
		c.mu.Unlock()
		if err != nil {
			return nil, err
		}
		if len(rs) == 0 {
			if err := c.mend(ctx); err != nil {
				return nil, err
			}
		}
		if c.share != nil {
			c.share.balance()
		}
		next := c.ask(n - len(rs))
		if len(rs) > 0 {
			c.mu.Lock()
			c.watchIdle()
			c.mu.Unlock()
			return rs, nil
		}
		timer := time.NewTimer(time.Until(next))
		select {
		case <-c.wake:
		case <-timer.C:
		case <-c.status: // connected again: what was asked for before is not known there
			c.mu.Lock()
			c.stopAsking()
			for _, s := range c.sources {
				s.stale = true
			}
			c.mu.Unlock()
		case <-c.closed:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// take returns up to n messages that have come. The caller holds c.mu.
func (c *queueConsumer) take(n int) (rs []pubsub.Received) {
	k := 0
	for k < len(c.buffer) && len(rs) < n {
		r := c.buffer[k]
		k++
		v := r.Receipt.(*queueReceipt)
		if v.lost() {
			v.settled = true
			delete(v.s.unsettled, v)
			continue // it is handed out again
		}
		r.Asked = v.until.Add(-c.lease) // it may have been extended
		rs = append(rs, r)
	}
	clear(c.buffer[:k])
	if c.buffer = c.buffer[k:]; len(c.buffer) == 0 {
		c.buffer = nil
	}
	return rs
}

// open returns how many messages may come, but for those of partitions that gather. The caller holds c.mu.
func (c *queueConsumer) open() (n int) {
	for _, s := range c.sources {
		if s.gathering == nil {
			n += s.open()
		}
	}
	return n
}

func (s *queueSource) open() (n int) {
	if s.in != nil {
		n = s.in.open
	}
	return n
}

// watchIdle gives back what comes when nobody fetches it, but not the messages of partitions: nobody else could get them. The caller
// holds c.mu.
func (c *queueConsumer) watchIdle() {
	if c.share != nil || c.open() == 0 && len(c.buffer) == 0 {
		return
	}
	d := c.lease / 4
	if c.idle != nil {
		c.idle.Reset(d)
		return
	}
	c.idle = time.AfterFunc(d, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.stopAsking()
	})
}

// stopAsking takes all requests back, and gives back what has come, but for the messages of partitions. What the server hands out while
// it hears of this comes again when its lease has ended. The caller holds c.mu.
func (c *queueConsumer) stopAsking() {
	for _, s := range c.sources {
		s.cancel()
	}
	if c.share == nil {
		c.sources[0].giveBackBuffered()
	}
}

// buffered calls f for all that has come and was not fetched. The caller holds c.mu.
func (c *queueConsumer) buffered(f func(r *queueReceipt)) {
	for _, r := range c.buffer {
		f(r.Receipt.(*queueReceipt))
	}
	for _, s := range c.sources {
		if s.gathering != nil {
			for _, r := range s.gathering.rs {
				f(r.Receipt.(*queueReceipt))
			}
		}
	}
}

// giveBackSoon gives back messages of the source in the background. Until then nothing is asked for, since what comes would overtake
// them. The caller holds c.mu.
func (s *queueSource) giveBackSoon(rs []*queueReceipt) {
	s.returns++
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), s.c.patience())
		defer cancel()
		s.c.giveBack(ctx, rs) // if that fails, their leases end
		s.c.mu.Lock()
		s.returns--
		s.c.mu.Unlock()
		s.c.signal()
	}()
}

// mend makes consumers again that have gone. While that fails, it is tried again later.
func (c *queueConsumer) mend(ctx context.Context) error {
	var due []*queueSource
	c.mu.Lock()
	for _, s := range c.sources {
		if s.stale && !time.Now().Before(s.notBefore) {
			due = append(due, s)
		}
	}
	c.mu.Unlock()
	return eachSource(due, func(s *queueSource) error {
		try, cancel := context.WithTimeout(ctx, queueAttempt)
		defer cancel()
		err := s.ready(try)
		if err == nil || queueFinal(err) {
			return err
		}
		c.t.forget()
		c.mu.Lock()
		defer c.mu.Unlock()
		s.later()
		return nil
	})
}

// later puts off the next request. The caller holds c.mu.
func (s *queueSource) later() {
	s.pause = min(max(2*s.pause, queueMinPause), queueMaxPause)
	s.notBefore = time.Now().Add(s.pause)
}

// ask asks for messages so that up to n may come, and returns when to look again if none does.
func (c *queueConsumer) ask(n int) (next time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	next = now.Add(c.pullTime())
	open := c.open() + len(c.buffer)
	switch {
	case c.left:
	case c.share != nil:
		c.askAll(now, n-len(c.buffer))
	case open > n:
		c.stopAsking()
	case 2*open < n:
		c.sources[0].ask(now, n-open)
	}
	for _, s := range c.sources {
		if s.stale || now.Before(s.notBefore) {
			next = earlier(next, s.notBefore)
		}
		if s.in != nil {
			for _, r := range s.in.requests {
				next = earlier(next, r.deadline)
			}
		}
	}
	return next
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// askAll asks the partitions that this consumer has, or may get: each for its part of the room, so that those without messages leave some
// for the others, and those that had all that was asked for once more for all of it. So up to twice as many may come. The caller
// holds c.mu.
func (c *queueConsumer) askAll(now time.Time, room int) {
	if room <= 0 {
		return
	}
	var free []*queueSource
	parts, full := 0, 0
	for _, s := range c.sources {
		if !c.share.may(s) || s.gathering != nil {
			continue
		}
		parts++
		if s.full {
			full++
		}
		if s.open() == 0 {
			free = append(free, s)
		}
	}
	for _, s := range free {
		among := parts
		if s.full {
			among = full
		}
		s.ask(now, max(room/among, 1))
	}
}
