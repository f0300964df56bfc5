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

// Fetch implements pubsub.QueueConsumer. There are never more messages on their way than n, but with Partitions. When a Fetch is not followed by another for
// a quarter of a lease, or its context ends, what comes is given back, or, with Partitions, kept for the next one.
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
		now := time.Now()
		if c.share != nil {
			c.gatherAgain()
		}
		rs, err := c.take(now, n), c.err
		if len(rs) > 0 && c.share == nil && 2*c.open() >= n-len(rs) {
			c.watchIdle()
			c.mu.Unlock()
			return rs, nil
		}
		c.expire(now)
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
func (c *queueConsumer) take(now time.Time, n int) (rs []pubsub.Received) {
	k := 0
	for k < len(c.buffer) && len(rs) < n {
		r := c.buffer[k]
		k++
		v := r.Receipt.(*queueReceipt)
		if !now.Before(v.until) || v.created != v.s.created {
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
		ctx, cancel := context.WithTimeout(context.Background(), max(s.c.pullTime(), minPullSlack))
		defer cancel()
		s.c.giveBack(ctx, rs) // if that fails, their leases end
		s.c.mu.Lock()
		s.returns--
		s.c.mu.Unlock()
		s.c.signal()
	}()
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
		case <-time.After(max(s.c.pullTime(), minPullSlack)):
			in.sub.Unsubscribe()
		}
		if s.c.share != nil {
			// The server gives a partition that is free to the first request that it knows, even if nobody listens for it any more. A request
			// that has ended when it comes makes it look for such, and is answered then.
			ctx, cancel := context.WithTimeout(context.Background(), minPullSlack)
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

// pullRequest asks a consumer for messages.
type pullRequest struct {
	Expires time.Duration `json:"expires,omitempty"`
	Batch   int           `json:"batch"`
	Group   string        `json:"group,omitempty"`
	ID      string        `json:"id,omitempty"`
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
	s.send(p, in.prefix+token, &in.sends)
}

// send publishes a request, and does not wait for a connection that is stuck. sent is done when it was.
func (s *queueSource) send(p pullRequest, reply string, sent *sync.WaitGroup) {
	sent.Go(func() { s.c.q.nc.PublishRequest(s.subject(), reply, p.encode()) })
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
	case "404", "408": // no messages
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
