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
type gathering struct{ rs []pubsub.Received }

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
		s.gathering = &gathering{}
		go s.gather(s.gathering)
	}
	s.gathering.rs = append(s.gathering.rs, r)
	return true
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
	slices.SortFunc(g.rs, func(a, b pubsub.Received) int {
		return cmp.Compare(a.Receipt.(*queueReceipt).seq, b.Receipt.(*queueReceipt).seq)
	})
	c.buffer = append(c.buffer, g.rs...)
	c.signal()
}

// lacks reports whether messages are pending that are not here, and asks for them.
func (s *queueSource) lacks(ctx context.Context, g *gathering) bool {
	pending, err := s.pending(ctx)
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.gathering != g {
		return false
	}
	s.busy() // forgets what is lost
	missing := pending - len(s.unsettled)
	if n := missing - s.open(); err == nil && n > 0 {
		s.ask(time.Now(), n)
	}
	return err != nil || missing > 0
}
