package natspubsub

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/concordkit/concord/pubsub"
)

// gathering is what has come of a partition while older messages of it may come.
//
// The server hands out again what was given back, or whose lease has ended, in an order of its own: what it cannot deliver at once goes to
// the end of its queue. So when a partition is new to a consumer, or a message of it is handed out again, nothing of it is handed on until
// all that is handed out and not settled is here.
type gathering struct {
	rs    []pubsub.Received
	fresh bool // the last one was handed out for the first time: none waits to be handed out again
}

// How often a consumer is asked how many messages are pending, first and at last.
const (
	minGatherPause = time.Millisecond
	maxGatherPause = 100 * time.Millisecond
)

// gathers keeps a message if older ones may come. The caller holds c.mu.
func (s *queueSource) gathers(r pubsub.Received) bool {
	if s.gathering == nil {
		if r.Delivered == 1 && !s.unsure {
			return false
		}
		s.startGathering()
	}
	s.gathering.rs = append(s.gathering.rs, r)
	s.gathering.fresh = r.Delivered == 1
	return true
}

// startGathering keeps what was not fetched. The caller holds c.mu.
func (s *queueSource) startGathering() {
	s.gathering = &gathering{}
	s.c.buffer = slices.DeleteFunc(s.c.buffer, func(r pubsub.Received) bool {
		v := r.Receipt.(*queueReceipt)
		if v.s == s && !v.lost() {
			s.gathering.rs = append(s.gathering.rs, r)
		}
		return v.s == s
	})
	go s.gather(s.gathering)
}

// gatherAgain looks for messages whose leases have ended before they were fetched: what is behind them has to wait. The caller holds
// c.mu.
func (c *queueConsumer) gatherAgain() {
	var again []*queueSource
	for _, r := range c.buffer {
		if v := r.Receipt.(*queueReceipt); v.lost() && !slices.Contains(again, v.s) {
			again = append(again, v.s)
		}
	}
	for _, s := range again {
		s.startGathering()
	}
}

// gather asks for what is missing, and hands all of it on then. What another consumer has still, which the leader of the server's consumer
// has forgotten when it has changed, holds it up for as long as a pin at the most.
func (s *queueSource) gather(g *gathering) {
	c := s.c
	ctx, cancel := context.WithTimeout(c.share.ctx, pinTTL(c.lease))
	defer cancel()
	for pause := minGatherPause; s.lacks(ctx, g); pause = min(2*pause, maxGatherPause) {
		if !queueSleep(ctx, pause) {
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.gathering != g {
		return // it was given back
	}
	s.gathering, s.unsure = nil, false
	g.rs = slices.DeleteFunc(g.rs, func(r pubsub.Received) bool { return r.Receipt.(*queueReceipt).lost() })
	slices.SortFunc(g.rs, func(a, b pubsub.Received) int {
		return cmp.Compare(a.Receipt.(*queueReceipt).seq, b.Receipt.(*queueReceipt).seq)
	})
	c.buffer = append(c.buffer, g.rs...)
	c.signal()
}

// lacks reports whether messages are pending that are not here, and asks for them.
func (s *queueSource) lacks(ctx context.Context, g *gathering) bool {
	try, cancel := context.WithTimeout(ctx, s.c.pullTime())
	defer cancel()
	i, err := s.info(try)
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	switch {
	case s.gathering != g:
		return false
	case err != nil:
		return true
	case i == nil:
		return false // all of it is handed out again
	}
	s.forgetLost()
	here := 0
	for r := range s.unsettled {
		// What is being acked, or has come since, may not be among those that were counted.
		if !r.settling && r.order <= i.Delivered.Consumer {
			here++
		}
	}
	switch missing := i.NumAckPending - len(s.unsettled) - s.open(); {
	case missing <= 0:
	case !g.fresh:
		s.ask(time.Now(), missing)
	case s.open() == 0: // others have it still, or its lease is about to end
		s.ask(time.Now(), 1)
	}
	return i.NumAckPending > here
}
