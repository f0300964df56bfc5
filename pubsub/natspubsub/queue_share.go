package natspubsub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	h.work.Go(h.keep)
	return h, nil
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
		case <-h.c.closed:
			return
		}
		h.greet(greetHere)
		h.c.mu.Lock()
		for _, s := range h.c.sources {
			if s.pin != "" && time.Since(s.pinned) > h.c.lease/8 {
				// It has ended when it arrives, so that it gets no message.
				s.send(pullRequest{Expires: 1, Batch: 1, Group: pinGroup, ID: s.pin}, h.c.q.nc.NewInbox())
			}
		}
		h.c.mu.Unlock()
		h.balance()
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
			if owned > fair && s.pin != "" && !s.leaving && (pass > 0 || len(s.unsettled) == 0) {
				s.leaving = true
				s.cancel()
				owned--
			}
		}
	}
	for _, s := range c.sources {
		switch {
		case s.leaving && s.pin != "" && len(s.unsettled) == 0 && len(s.drains) == 0:
			s.pin = ""
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), drainTime)
				defer cancel()
				h.unpin(ctx, s) // if that fails, the pin ends by itself
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

// unpin makes a partition free.
func (h *queueShare) unpin(ctx context.Context, s *queueSource) error {
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
	h.work.Wait()
	errs := make([]error, len(h.c.sources))
	var all sync.WaitGroup
	for i, s := range h.c.sources {
		h.c.mu.Lock()
		pinned := s.pin != ""
		s.pin = ""
		h.c.mu.Unlock()
		if pinned {
			all.Go(func() { errs[i] = h.unpin(ctx, s) })
		}
	}
	all.Wait()
	h.greet(greetBye)
	h.sub.Unsubscribe()
	return errors.Join(errs...)
}
