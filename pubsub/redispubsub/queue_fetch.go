package redispubsub

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/concordkit/concord/pubsub"
)

// queueStep is one look for messages: a script, a read that may wait, or both. It outlives the Fetch that has begun it, since a read
// that was sent cannot be taken back.
type queueStep struct {
	n        int // how many it may take
	look     queueLook
	fence    bool // a request may be on its way still
	recover  bool // look for what is this consumer's without its knowledge
	deadline time.Time
	done     chan struct{}
	err      error // after done
}

// queueLook is what the script has told last.
type queueLook struct {
	token uint64
	next  time.Time // when to run it again
	due   time.Time // when the next delayed message is due; zero for none
}

var errNoAnswer = errors.New("the server does not answer")

// Fetch implements pubsub.QueueConsumer.
func (c *queueConsumer) Fetch(ctx context.Context, n int) ([]pubsub.Received, error) {
	pause := queueMinPause
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		rs, step, err := c.begin(n)
		if err != nil || len(rs) > 0 {
			return rs, err
		}
		err = c.await(ctx, step)
		switch {
		case err == nil || ctx.Err() != nil:
			pause = queueMinPause
		case c.q.final(err):
			return nil, c.fail("fetch from", err)
		default:
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
			pause = min(2*pause, queueMaxPause)
		}
	}
}

// begin returns messages that are here, or else the step under way, which may be new.
func (c *queueConsumer) begin(n int) ([]pubsub.Received, *queueStep, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, nil, c.fail("fetch from", pubsub.ErrClosed)
	}
	for len(c.stash) > 0 && time.Since(c.stash[0].Asked) >= c.lease { // it comes again
		delete(c.has, entryOf(c.stash[0]))
		c.stash = c.stash[1:]
	}
	if have := min(n, len(c.stash)); have > 0 {
		rs := c.stash[:have:have]
		c.stash = c.stash[have:]
		return rs, nil, nil
	}
	if c.step == nil && c.strays < maxStrays {
		c.step = &queueStep{
			n: min(n, c.most), look: c.last, fence: c.lost, recover: c.lost || time.Now().Before(c.doubt),
			done:     make(chan struct{}),
			deadline: time.Now().Add(c.look + min(c.patience<<c.slow, slowPatience)),
		}
		c.lost = false
		c.work.Add(1)
		go c.runStep(c.step)
	}
	return nil, c.step, nil
}

func entryOf(r pubsub.Received) entryName { return r.Receipt.(queueReceipt).entry() }

// await waits for the end of a step, and gives it up when that is too late. Without a step, it waits for one that was given up.
func (c *queueConsumer) await(ctx context.Context, s *queueStep) error {
	if s == nil {
		c.mu.Lock()
		ended := c.ended
		c.mu.Unlock()
		select {
		case <-ended:
		case <-ctx.Done():
		}
		return nil
	}
	late := time.NewTimer(time.Until(s.deadline))
	defer late.Stop()
	select {
	case <-s.done:
		return s.err
	case <-ctx.Done():
		return nil
	case <-late.C:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.step == s {
		c.step = nil
		c.strays++
		c.doubted(true)
	}
	return errNoAnswer
}

// doubted notes that requests may have been carried out whose answers were lost, or may be yet. The caller holds c.mu.
func (c *queueConsumer) doubted(late bool) {
	c.lost, c.doubt = true, time.Now().Add(2*c.patience)
	if late {
		c.slow = min(c.slow+1, 10)
		c.most = max(c.most/2, 1) // a slow network may carry less
	}
}

// runStep takes a step.
func (c *queueConsumer) runStep(s *queueStep) {
	defer c.work.Done()
	ctx, cancel := context.WithDeadline(c.ctx, s.deadline)
	rs, look, err := c.take(ctx, s)
	late := ctx.Err() != nil
	cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	defer close(s.done)
	s.err = err
	if c.step != s { // it was given up: another one recovers what it has taken
		c.strays--
		c.doubted(false)
		close(c.ended)
		c.ended = make(chan struct{})
		return
	}
	c.step = nil
	c.last = look
	if err != nil {
		c.doubted(late)
		return
	}
	c.slow, c.most = 0, min(2*c.most, maxEntries)
	for _, r := range rs {
		c.has[entryOf(r)] = r.Asked.Add(c.lease)
	}
	if len(c.stash) == 0 {
		c.stash = rs // the caller of Fetch gets it as it is
		return
	}
	c.stash = append(slices.Clone(c.stash), rs...)
}
