package natspubsub

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/concordkit/concord/pubsub"
)

// queueShare decides which partitions a consumer may have. The server sees to it that one consumer has a partition at a time; this
// is only about how many. Consumers of a group greet each other, and each takes its fair share of the partitions.
type queueShare struct {
	c       *queueConsumer
	id      string
	subject string
	sub     *nats.Subscription
	ctx     context.Context
	stop    context.CancelFunc
	work    sync.WaitGroup

	others map[string]time.Time // when each was heard last; under c.mu
}

// Greetings are a word and the name of who sends it.
const (
	greetJoin = "join" // answered by the others
	greetHere = "here"
	greetBye  = "bye"
)

func newQueueShare(c *queueConsumer) (*queueShare, error) {
	h := &queueShare{c: c, id: pubsub.NewID(), others: map[string]time.Time{}}
	h.subject = c.q.o.root(c.t.name) + "=members." + c.group
	sub, err := c.q.nc.Subscribe(h.subject, h.hear)
	if err != nil {
		return nil, err
	}
	h.sub = sub
	h.ctx, h.stop = context.WithCancel(context.Background())
	return h, nil
}

func (h *queueShare) start() {
	h.work.Go(h.keep)
	h.work.Go(h.extend)
	h.work.Go(h.mend)
}

// mend makes consumers again that have gone, also while nothing is fetched.
func (h *queueShare) mend() {
	for queueSleep(h.ctx, max(h.c.lease/4, minPull)) {
		if err := h.c.mend(h.ctx); err != nil && h.ctx.Err() == nil {
			h.c.mu.Lock()
			h.c.err = err
			h.c.mu.Unlock()
			h.c.signal()
			return
		}
	}
}

func (h *queueShare) hear(m *nats.Msg) {
	word, id, _ := strings.Cut(string(m.Data), " ")
	if id == h.id || id == "" {
		return
	}
	h.c.mu.Lock()
	_, known := h.others[id]
	if word == greetBye {
		delete(h.others, id)
	} else {
		h.others[id] = time.Now()
	}
	h.c.mu.Unlock()
	if word == greetJoin {
		h.greet(greetHere)
	}
	if known == (word == greetBye) { // one more, or one less
		h.c.signal()
	}
}

func (h *queueShare) greet(word string) { h.c.q.nc.Publish(h.subject, []byte(word+" "+h.id)) }

// keep greets, and keeps the pins of partitions of which nothing is asked for just now.
func (h *queueShare) keep() {
	h.greet(greetJoin)
	every := time.NewTicker(max(h.c.lease/4, minPull))
	defer every.Stop()
	for {
		select {
		case <-every.C:
		case <-h.ctx.Done():
			return
		}
		h.greet(greetHere)
		h.c.mu.Lock()
		for _, s := range h.c.sources {
			if s.pin != "" && time.Since(s.pinned) > h.c.lease/8 {
				// It has ended when it arrives, so that it gets no message.
				go s.send(pullRequest{Expires: 1, Batch: 1, Group: pinGroup, ID: s.pin}, h.c.q.nc.NewInbox())
			}
		}
		h.c.mu.Unlock()
		h.balance()
	}
}

// extend keeps the leases of what waits here.
func (h *queueShare) extend() {
	every := max(h.c.lease/4, minPull)
	for queueSleep(h.ctx, every) {
		h.c.mu.Lock()
		var rs []*queueReceipt
		h.c.buffered(func(r *queueReceipt) {
			if !r.lost() {
				rs = append(rs, r)
			}
		})
		h.c.mu.Unlock()
		if len(rs) > 0 {
			ctx, cancel := context.WithTimeout(h.ctx, every)
			h.c.extend(ctx, rs) // if that fails, they are handed out again
			cancel()
		}
	}
}

// fair returns how many partitions a consumer should have at most. The caller holds c.mu.
func (h *queueShare) fair() int {
	n := 1
	for id, heard := range h.others {
		if time.Since(heard) > h.c.lease {
			delete(h.others, id)
			continue
		}
		n++
	}
	return (len(h.c.sources) + n - 1) / n
}

// owned returns how many partitions the consumer has. The caller holds c.mu.
func (h *queueShare) owned() (n int) {
	for _, s := range h.c.sources {
		if s.pin != "" && !s.leaving {
			n++
		}
	}
	return n
}

// may reports whether the consumer may ask for messages of a partition. The caller holds c.mu.
func (h *queueShare) may(s *queueSource) bool {
	if s.pin != "" || s.leaving {
		return !s.leaving
	}
	return h.owned() < h.fair()
}

// balance gives up partitions beyond the fair share, once they are settled.
func (h *queueShare) balance() {
	c := h.c
	c.mu.Lock()
	defer c.mu.Unlock()
	fair, owned := h.fair(), h.owned()
	for pass := range 2 { // those that have nothing first
		for _, s := range c.sources {
			if owned > fair && s.pin != "" && !s.leaving && (pass > 0 || !s.busy()) {
				s.leave()
				owned--
			}
		}
	}
	for _, s := range c.sources {
		switch {
		case s.gone():
			pin := s.pin
			s.pin = ""
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), drainTime)
				defer cancel()
				h.unpin(ctx, s, pin) // if that fails, the pin ends by itself
				c.mu.Lock()
				s.leaving = false
				s.notBefore = time.Now().Add(c.lease / 4) // others first
				c.mu.Unlock()
			}()
		case s.pin == "" && owned >= fair && s.open() > 0:
			s.cancel()
		}
	}
}

// settled looks whether a partition that is to be given up can be. The caller holds c.mu.
func (h *queueShare) settled() {
	for _, s := range h.c.sources {
		if s.gone() {
			h.c.signal()
			return
		}
	}
}

// leave begins to give up a partition. What was not fetched yet is given back. The caller holds c.mu.
func (s *queueSource) leave() {
	s.leaving = true
	s.cancel()
	s.giveBackBuffered()
}

// unpinned notes that another consumer may have the partition. The caller holds c.mu.
func (s *queueSource) unpinned() {
	s.pin, s.leaving = "", false
	s.giveBackBuffered()
}

// giveBackBuffered gives back what was not fetched yet. The caller holds c.mu.
func (s *queueSource) giveBackBuffered() {
	var rs []*queueReceipt
	s.c.buffered(func(r *queueReceipt) {
		if r.s == s {
			rs = append(rs, r)
		}
	})
	s.gathering = nil
	s.c.buffer = slices.DeleteFunc(s.c.buffer, func(r pubsub.Received) bool { return r.Receipt.(*queueReceipt).s == s })
	if len(rs) > 0 {
		s.giveBackSoon(rs)
	}
}

// forgetLost leaves what is lost to whoever has it. The caller holds c.mu.
func (s *queueSource) forgetLost() {
	for r := range s.unsettled {
		if r.lost() {
			r.settled = true // it cannot be extended any more
			delete(s.unsettled, r)
		}
	}
}

// busy reports whether a message of the partition is not settled. The caller holds c.mu.
func (s *queueSource) busy() bool {
	s.forgetLost()
	return len(s.unsettled) > 0
}

// gone reports whether all is settled of a partition that is to be given up. The caller holds c.mu.
func (s *queueSource) gone() bool {
	return s.leaving && s.pin != "" && len(s.drains)+s.returns == 0 && !s.busy()
}

// unpin makes a partition free that has this pin. The request names none, and would throw out whoever has the partition by now.
func (h *queueShare) unpin(ctx context.Context, s *queueSource, pin string) error {
	i, err := h.c.q.js.Consumer(ctx, s.stream, s.name)
	if err != nil {
		return fmt.Errorf("unpin partition %d: %w", s.part, err)
	}
	for _, g := range i.CachedInfo().PriorityGroups {
		if g.PinnedClientID != pin {
			return nil
		}
	}
	data, err := json.Marshal(struct {
		Group string `json:"group"`
	}{pinGroup})
	if err != nil {
		return err
	}
	m := &nats.Msg{Subject: h.c.q.api + "CONSUMER.UNPIN." + s.stream + "." + s.name, Data: data}
	if _, err := h.c.q.calls.do(ctx, []*nats.Msg{m}, nil); err != nil {
		return fmt.Errorf("unpin partition %d: %w", s.part, err)
	}
	return nil
}

// close gives up all partitions. What the consumer had was given back.
func (h *queueShare) close(ctx context.Context) error {
	ended := make(chan struct{})
	go func() {
		h.work.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	err := eachSource(h.c.sources, func(s *queueSource) error {
		h.c.mu.Lock()
		pin := s.pin
		s.pin = ""
		h.c.mu.Unlock()
		if pin == "" {
			return nil
		}
		return h.unpin(ctx, s, pin)
	})
	h.greet(greetBye)
	h.sub.Unsubscribe()
	return err
}
