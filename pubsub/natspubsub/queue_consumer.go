package natspubsub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/concordkit/concord/pubsub"
)

const (
	// maxWaitingPulls is how many requests for messages a group may have open, one or two for each of its consumers.
	maxWaitingPulls = 4096
	// callsAtOnce is how many consumers of partitions are made, or given up, at a time: a cluster takes some time for each.
	callsAtOnce = 8
	// pinGroup names the one priority group of a consumer of a partition.
	pinGroup = "one"
)

// queueConsumer is a [pubsub.QueueConsumer].
type queueConsumer struct {
	q       *Queue
	t       *queueTopic
	group   string
	lease   time.Duration
	sources []*queueSource
	share   *queueShare   // nil without partitions
	wake    chan struct{} // something has come
	status  chan nats.Status
	closed  chan struct{}

	mu     sync.Mutex
	left   bool
	err    error             // what ends the consumer
	buffer []pubsub.Received // what has come and was not fetched
	idle   *time.Timer       // gives back what nobody fetches
}

// Join implements pubsub.QueueBackend.
func (q *Queue) Join(ctx context.Context, topic, group string, o pubsub.JoinOptions) (pubsub.QueueConsumer, error) {
	c, err := q.join(ctx, topic, group, o)
	if err != nil {
		return nil, fmt.Errorf("natspubsub: join %q of %q: %w", group, topic, err)
	}
	return c, nil
}

func (q *Queue) join(ctx context.Context, topic, group string, o pubsub.JoinOptions) (*queueConsumer, error) {
	switch {
	case q.err != nil:
		return nil, q.err
	case o.Lease < time.Millisecond:
		return nil, fmt.Errorf("%w: Lease %v: want 1ms or more", pubsub.ErrInvalid, o.Lease)
	}
	if err := pubsub.CheckGroup(group); err != nil {
		return nil, err
	}
	c := &queueConsumer{
		q: q, t: q.topic(topic), group: group, lease: o.Lease,
		wake: make(chan struct{}, 1), closed: make(chan struct{}),
	}
	for part := range max(q.o.Partitions, 1) {
		s := &queueSource{
			c: c, part: part, name: q.o.consumer(group, part), stream: q.o.stream(topic),
			drains: map[*queueInbox]struct{}{}, unsettled: map[*queueReceipt]struct{}{},
		}
		c.sources = append(c.sources, s)
	}
	if err := c.makeConsumers(ctx); err != nil {
		return nil, err
	}
	c.status = q.nc.StatusChanged(nats.CONNECTED)
	if q.o.Partitions > 0 {
		share, err := newQueueShare(c)
		if err != nil {
			q.nc.RemoveStatusListener(c.status)
			return nil, err
		}
		c.share = share
		share.start()
	}
	return c, nil
}

// makeConsumers makes sure of the stream, and then of its consumers.
func (c *queueConsumer) makeConsumers(ctx context.Context) error {
	if _, _, err := c.t.ready(ctx); err != nil {
		return err
	}
	return eachSource(c.sources, func(s *queueSource) error {
		return queueRetry(ctx, func(ctx context.Context) error {
			err := s.ready(ctx)
			if err != nil {
				c.t.forget()
			}
			return err
		})
	})
}

// eachSource calls f for each of ss, callsAtOnce at a time, and joins the errors.
func eachSource(ss []*queueSource, f func(*queueSource) error) error {
	errs := make([]error, len(ss))
	room := make(chan struct{}, callsAtOnce)
	var all sync.WaitGroup
	for i, s := range ss {
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			errs[i] = f(s)
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// config returns the settings of the consumer of a partition.
func (c *queueConsumer) config(part int) jetstream.ConsumerConfig {
	o := &c.q.o
	cfg := jetstream.ConsumerConfig{
		Durable: o.consumer(c.group, part), AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverAllPolicy,
		AckWait: c.lease, MaxDeliver: -1, MaxAckPending: -1, MaxWaiting: maxWaitingPulls,
		FilterSubjects: []string{o.subject(c.t.name, part, ""), o.subject(c.t.name, part, c.group)},
	}
	if o.Partitions > 0 {
		cfg.PriorityPolicy, cfg.PriorityGroups = jetstream.PriorityPolicyPinned, []string{pinGroup}
		cfg.PinnedTTL = pinTTL(c.lease)
	}
	return cfg
}

// pinTTL is longer than a message of a consumer that has died stays its own, since it asks for its pin at least every quarter of a lease:
// what it had comes before what it had not.
func pinTTL(lease time.Duration) time.Duration { return lease + lease/2 }

// queueReceipt names one delivery of a message.
type queueReceipt struct {
	s       *queueSource
	reply   string // where what becomes of it is published
	seq     uint64
	order   uint64 // of this delivery among those of the consumer
	created int64  // of the consumer that handed it out

	// Under c.mu.
	until    time.Time // the end of the lease, at the earliest
	settling bool      // it is being acked
	settled  bool
}

// lost reports whether others may have the message. The caller holds c.mu.
func (r *queueReceipt) lost() bool {
	return r.created != r.s.created || !time.Now().Before(r.until)
}

// own returns the receipts that are this consumer's, and which those were among rs.
func (c *queueConsumer) own(rs []pubsub.Receipt, live bool) (own []*queueReceipt, index []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, r := range rs {
		v, ok := r.(*queueReceipt)
		if !ok || v.s.c != c || v.created != v.s.created || live && (v.settled || v.lost()) {
			continue
		}
		own, index = append(own, v), append(index, i)
	}
	return own, index
}

// errQueueGone reports that nobody answers for a consumer: it has no leader now, or was deleted.
var errQueueGone = errors.New("nobody serves the consumer")

// tell publishes the same text for each receipt, and waits until the last one of each source was heard, or with all, each. With an error
// it returns the answers that came.
func (c *queueConsumer) tell(ctx context.Context, rs []*queueReceipt, text string, all bool) ([]queueAnswer, error) {
	if len(rs) == 0 {
		return nil, nil
	}
	ms, msgs := make([]*nats.Msg, len(rs)), make([]nats.Msg, len(rs))
	last := map[*queueSource]int{}
	data := []byte(text)
	for i, r := range rs {
		ms[i] = &msgs[i]
		ms[i].Subject, ms[i].Data = r.reply, data
		last[r.s] = i
	}
	answers, err := c.q.calls.do(ctx, ms, func(i int) bool { return all || last[rs[i].s] == i })
	for i, a := range answers {
		if a.Msg != nil && a.none() {
			c.mu.Lock()
			rs[i].s.stale = true
			c.mu.Unlock()
			err = cmp.Or(err, errQueueGone)
		}
	}
	return answers, err
}

// Ack implements pubsub.QueueConsumer. It is one round trip: the consumer handles what it is told in its order, and answers for the
// last. What a consumer has handed out that was deleted since then cannot be settled, and comes again.
func (c *queueConsumer) Ack(ctx context.Context, rs []pubsub.Receipt) error {
	own, _ := c.own(rs, false)
	c.settling(own, true)
	answers, err := c.tell(ctx, own, "+ACK", false)
	if err == nil {
		c.settle(own)
		return nil
	}
	done, left := answered(own, answers)
	c.settle(done)
	c.settling(left, false)
	u := &pubsub.UnsettledError{Err: err}
	for _, r := range left {
		u.Receipts = append(u.Receipts, r)
	}
	return fmt.Errorf("natspubsub: ack %d of %q: %w", len(rs), c.t.name, u)
}

// settling notes which messages the server may not count any more.
func (c *queueConsumer) settling(rs []*queueReceipt, is bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range rs {
		r.settling = is
	}
}

// answered divides receipts into those of sources whose last one was answered, and the rest.
func answered(rs []*queueReceipt, answers []queueAnswer) (done, left []*queueReceipt) {
	heard := map[*queueSource]bool{}
	for i, a := range answers {
		if a.Msg != nil && !a.none() {
			heard[rs[i].s] = true
		}
	}
	for _, r := range rs {
		if heard[r.s] {
			done = append(done, r)
		} else {
			left = append(left, r)
		}
	}
	return done, left
}

func (c *queueConsumer) settle(rs []*queueReceipt) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range rs {
		r.settled = true
		delete(r.s.unsettled, r)
	}
	if c.share != nil {
		c.share.settled()
	}
}

// signal makes Fetch look again. The caller holds c.mu, or does not.
func (c *queueConsumer) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Extend implements pubsub.QueueConsumer.
//
// The server answers whoever asks, whether the message is his or not, was settled or handed out again. So an answer counts only
// if it came before the lease had ended from which it was extended, and if the consumer is still the one that handed it out.
func (c *queueConsumer) Extend(ctx context.Context, rs []pubsub.Receipt) ([]bool, error) {
	kept := make([]bool, len(rs))
	own, index := c.own(rs, true)
	if len(own) == 0 {
		return kept, nil
	}
	extended, err := c.extend(ctx, own)
	for i, r := range own {
		kept[index[i]] = extended[r]
	}
	if err != nil {
		err = fmt.Errorf("natspubsub: extend %d of %q: %w", len(rs), c.t.name, err)
	}
	return kept, err
}

// extend returns which messages were extended. A partition that does not answer is no matter to the others.
func (c *queueConsumer) extend(ctx context.Context, rs []*queueReceipt) (map[*queueReceipt]bool, error) {
	if c.share == nil {
		return c.sources[0].extend(ctx, rs)
	}
	bySource := map[*queueSource][]*queueReceipt{}
	for _, r := range rs {
		bySource[r.s] = append(bySource[r.s], r)
	}
	extended := map[*queueReceipt]bool{}
	var errs []error
	var mu sync.Mutex
	var all sync.WaitGroup
	for s, rs := range bySource {
		all.Go(func() {
			some, err := s.extend(ctx, rs)
			mu.Lock()
			defer mu.Unlock()
			maps.Copy(extended, some)
			errs = append(errs, err)
		})
	}
	all.Wait()
	return extended, errors.Join(errs...)
}

// Release implements pubsub.QueueConsumer. The delivery counts.
func (c *queueConsumer) Release(ctx context.Context, rs []pubsub.Receipt) error {
	own, _ := c.own(rs, true)
	if err := c.giveBack(ctx, own); err != nil {
		return fmt.Errorf("natspubsub: release %d of %q: %w", len(rs), c.t.name, err)
	}
	return nil
}

// giveBack makes the server hand out messages again at once, in their order.
func (c *queueConsumer) giveBack(ctx context.Context, rs []*queueReceipt) error {
	c.mu.Lock()
	live := slices.DeleteFunc(slices.Clone(rs), func(r *queueReceipt) bool { return r.settled || r.lost() })
	c.mu.Unlock()
	slices.SortFunc(live, func(a, b *queueReceipt) int { return cmp.Compare(a.seq, b.seq) })
	_, err := c.tell(ctx, live, "-NAK", false)
	c.settle(rs)
	return err
}

// Close implements pubsub.QueueConsumer.
func (c *queueConsumer) Close(ctx context.Context) error {
	c.mu.Lock()
	if c.left {
		c.mu.Unlock()
		return nil
	}
	c.left = true
	close(c.closed)
	if c.idle != nil {
		c.idle.Stop()
	}
	var inboxes []*queueInbox
	for _, s := range c.sources {
		s.cancel()
		inboxes = slices.AppendSeq(inboxes, maps.Keys(s.drains))
	}
	c.mu.Unlock()
	c.q.nc.RemoveStatusListener(c.status)
	if c.share != nil {
		c.share.stop()
	}
	for _, in := range inboxes {
		select {
		case <-in.done:
		case <-ctx.Done():
		}
	}
	c.mu.Lock()
	c.buffer = nil
	var rs []*queueReceipt
	for _, s := range c.sources {
		rs = slices.AppendSeq(rs, maps.Keys(s.unsettled))
	}
	c.mu.Unlock()
	err := c.giveBack(ctx, rs)
	if c.share != nil {
		err = errors.Join(err, c.share.close(ctx))
	}
	if err != nil {
		return fmt.Errorf("natspubsub: leave %q of %q: %w", c.group, c.t.name, err)
	}
	return nil
}
