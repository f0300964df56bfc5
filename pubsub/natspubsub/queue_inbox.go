package natspubsub

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/concordkit/concord/pubsub"
)

// queueInbox is where the messages of a source come. It ends when nothing more should come.
type queueInbox struct {
	s         *queueSource
	sub       *nats.Subscription
	prefix    string
	next      int
	requests  []*queueRequest // the oldest first
	open      int             // how many messages may come
	heard     time.Time       // when something came last
	sends     sync.WaitGroup  // requests that are being sent
	cancelled bool
	asked     time.Time       // of the request for whose want of an answer it was
	late      []*queueReceipt // what came after that and is given back
	done      chan struct{}   // closed when nothing comes any more
}

// queueRequest asked for messages. Messages do not tell which request they answer. The server serves requests first in, first out, or in turn, so
// that one is done once twice as many have come as were open when the next was sent.
type queueRequest struct {
	token           string // the last one of where it is answered
	n               int
	asked, deadline time.Time
	doneAfter       int // so many messages, 0 while it is the newest
}

// pullRequest asks a consumer for messages.
type pullRequest struct {
	Expires time.Duration `json:"expires,omitempty"`
	Batch   int           `json:"batch"`
	Group   string        `json:"group,omitempty"`
	ID      string        `json:"id,omitempty"`
}

// ask sends one request. The caller holds c.mu.
func (s *queueSource) ask(now time.Time, n int) {
	if s.c.left || s.stale || now.Before(s.notBefore) || len(s.drains)+s.returns > 0 {
		return
	}
	if s.in == nil {
		in := &queueInbox{s: s, prefix: s.c.q.nc.NewInbox() + ".", done: make(chan struct{})}
		sub, err := s.c.q.nc.Subscribe(in.prefix+"*", in.receive)
		if err != nil {
			s.c.err = err // the connection is closed
			s.c.signal()
			return
		}
		sub.SetPendingLimits(-1, -1)
		in.sub, s.in = sub, in
	}
	in := s.in
	in.next++
	token := strconv.Itoa(in.next)
	for _, r := range in.requests {
		if r.doneAfter == 0 {
			r.doneAfter = 2 * in.open
		}
	}
	wait := s.c.pullTime()
	in.requests = append(in.requests, &queueRequest{token: token, n: n, asked: now, deadline: now.Add(wait + max(wait/2, minPullSlack))})
	in.open += n
	p := pullRequest{Expires: wait, Batch: n}
	if s.c.share != nil {
		p.Group, p.ID = pinGroup, s.pin
		s.pinned = now
	}
	in.sends.Go(func() { s.send(p, in.prefix+token) }) // it may have to wait for a connection that is stuck
}

// send publishes a request.
func (s *queueSource) send(p pullRequest, reply string) {
	s.c.q.nc.PublishRequest(s.subject(), reply, p.encode())
}

// subject is where a source is asked for messages.
func (s *queueSource) subject() string {
	return s.c.q.api + "CONSUMER.MSG.NEXT." + s.stream + "." + s.name
}

func (p pullRequest) encode() []byte {
	data, err := json.Marshal(p)
	if err != nil {
		return nil // it has nothing that could fail
	}
	return data
}

// receive is called for what comes, one after the other.
func (in *queueInbox) receive(m *nats.Msg) {
	s, c := in.s, in.s.c
	token := strings.TrimPrefix(m.Subject, in.prefix)
	a := ackInfo{}
	if m.Reply != "" {
		a = parseAck(m.Reply)
	}
	var msg pubsub.Message
	if a.fromServer {
		msg = decodeMessage(c.t.name, m.Header, m.Data)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	in.heard = time.Now()
	if !a.fromServer {
		in.ended(token, m)
		c.signal()
		return
	}
	asked := in.asked
	if len(in.requests) > 0 {
		asked = in.requests[0].asked
	}
	if asked.IsZero() || s.created == 0 {
		s.unsure = true
		return // it answers nothing that is known here: it comes again
	}
	in.count()
	if c.share != nil {
		if pin := m.Header.Get("Nats-Pin-Id"); s.pin != pin {
			s.pin, s.unsure = pin, true
		}
	}
	v := &queueReceipt{s: s, reply: m.Reply, seq: a.stream, order: a.consumer, created: s.created, until: asked.Add(c.lease)}
	switch {
	case in.heard.After(v.until):
		s.unsure = true
		return // it has come too late, and is handed out again
	case c.left:
		s.unsettled[v] = struct{}{} // Close gives it back
		return
	case in.cancelled && (c.share == nil || s.leaving):
		in.late = append(in.late, v)
		return
	}
	s.pause = 0
	s.unsettled[v] = struct{}{}
	got := pubsub.Received{
		Message: msg, Receipt: v, Delivered: a.delivered, Token: uint64(s.created) + a.consumer, Partition: s.part,
		Published: a.published(),
	}
	if c.share != nil && s.gathers(got) {
		return
	}
	c.buffer = append(c.buffer, got)
	if len(c.buffer) == 1 {
		c.signal()
	}
}

// ended hears of the end of a request. The caller holds c.mu.
func (in *queueInbox) ended(token string, m *nats.Msg) {
	s := in.s
	code := m.Header.Get("Status")
	if code == "100" {
		return
	}
	for _, r := range in.requests {
		if r.token == token {
			unserved := r.n
			if n, err := strconv.Atoi(m.Header.Get("Nats-Pending-Messages")); err == nil {
				unserved = n
			}
			in.drop(r, unserved)
			break
		}
	}
	switch code {
	case "408": // no messages
		s.full = false
	case "423": // another one has the partition
		s.unpinned()
	case "400":
		s.c.err = fmt.Errorf("consumer %q of stream %q: %s", s.name, s.stream, m.Header.Get("Description"))
	default: // it was deleted, has no leader, or too many ask
		s.stale = true
		s.later()
	}
}

// count takes note of a message. The caller holds c.mu.
func (in *queueInbox) count() {
	in.s.full = false
	if in.open--; in.open <= 0 {
		in.open, in.requests, in.s.full = 0, nil, true
		return
	}
	in.requests = slices.DeleteFunc(in.requests, func(r *queueRequest) bool {
		if r.doneAfter == 0 {
			return false
		}
		r.doneAfter--
		return r.doneAfter == 0
	})
}

// drop forgets a request, of which so many messages do not come. The caller holds c.mu.
func (in *queueInbox) drop(r *queueRequest, unserved int) {
	in.requests = slices.DeleteFunc(in.requests, func(o *queueRequest) bool { return o == r })
	most := 0
	for _, o := range in.requests {
		most += o.n
	}
	in.open = min(max(in.open-unserved, 0), most)
}

// cancel ends the inbox of a source, whose requests end with it. What comes still is given back, or with partitions put into the buffer.
// The caller holds c.mu.
func (s *queueSource) cancel() {
	in := s.in
	if in == nil {
		return
	}
	s.in, in.cancelled = nil, true
	s.unsure = true // what is handed out just now may not come
	s.drains[in] = struct{}{}
	go func() {
		closed := make(chan struct{})
		go func() {
			in.sends.Wait()
			in.sub.SetClosedHandler(func(string) { close(closed) })
			in.sub.Drain()
		}()
		select {
		case <-closed:
		case <-time.After(s.c.patience()):
			in.sub.Unsubscribe()
		}
		if s.c.share != nil {
			// The server gives a partition that is free to the first request that it knows, even if nobody listens for it any more. A request
			// that has ended when it comes makes it look for such, and is answered then.
			ctx, cancel := context.WithTimeout(context.Background(), s.c.patience())
			m := &nats.Msg{Subject: s.subject(), Data: pullRequest{Expires: 1, Batch: 1, Group: pinGroup}.encode()}
			s.c.q.calls.do(ctx, []*nats.Msg{m}, nil)
			cancel()
		}
		s.c.mu.Lock()
		defer s.c.mu.Unlock()
		if len(in.late) > 0 {
			s.giveBackSoon(in.late)
		}
		delete(s.drains, in)
		s.c.signal()
		close(in.done)
	}()
}

// expire drops requests without an answer: their link is dead, or the server has forgotten them. The caller holds c.mu.
func (c *queueConsumer) expire(now time.Time) {
	for _, s := range c.sources {
		if s.in == nil {
			continue
		}
		in := s.in
		for len(in.requests) > 0 && now.After(in.requests[0].deadline) {
			r := in.requests[0]
			in.drop(r, 0) // it was answered in full, unless nothing has come since
			if in.heard.Before(r.asked) {
				in.asked = r.asked
				s.stale = true
				s.cancel()
				break
			}
		}
	}
}
