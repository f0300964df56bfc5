package redispubsub

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"

	"github.com/concordkit/concord/pubsub"
)

const (
	// looksPerLease is how often a consumer runs the script that finds what is due, given back or lost; maxLook bounds the time
	// between, minLook the load.
	looksPerLease = 8
	minLook       = 20 * time.Millisecond
	maxLook       = 500 * time.Millisecond
	// patience is how much longer than it may take on the server a step may take. After that, the connection is taken for dead.
	minPatience = time.Second
	maxPatience = 5 * time.Second
	// slowPatience bounds what patience grows to by doubling while no step ends in time.
	slowPatience = 30 * time.Second
	// maxStrays is how many steps without an answer keep a connection each, before no new one is begun.
	maxStrays = 3
	// maxEntries is how many messages one request is about, so that a script takes milliseconds.
	maxEntries = 1000

	queueMinPause = 10 * time.Millisecond
	queueMaxPause = time.Second
)

// queueReceipt names one hand-out of a message.
type queueReceipt struct {
	part      int
	id        string
	delivered int
}

// entryName names a message.
type entryName struct {
	part int
	id   string
}

func (r queueReceipt) entry() entryName { return entryName{r.part, r.id} }

// queueConsumer is a [pubsub.QueueConsumer].
type queueConsumer struct {
	q            *Queue
	topic, group string
	name         string // begins with the lease in milliseconds, for others to know
	lease, look  time.Duration
	patience     time.Duration

	ctx   context.Context // of what the consumer does by itself
	stop  context.CancelFunc
	work  sync.WaitGroup // steps
	calls atomic.Int64   // how often the script was sent: what comes late is told by its number
	acked atomic.Bool    // there may be something to trim

	mu     sync.Mutex
	closed bool
	last   queueLook
	step   *queueStep              // under way
	most   int                     // how many messages a step may take
	slow   int                     // steps that were given up since the last one that was not
	strays int                     // steps that were given up, and may still take messages
	ended  chan struct{}           // closed and replaced when one of them ends
	lost   bool                    // messages may be this consumer's without its knowledge, since the last step
	doubt  time.Time               // until then, since a request may have been carried out late
	stash  []pubsub.Received       // what a step has brought
	has    map[entryName]time.Time // what is here and not settled, and until when
}

// Join implements pubsub.QueueBackend.
func (q *Queue) Join(ctx context.Context, topic, group string, o pubsub.JoinOptions) (pubsub.QueueConsumer, error) {
	switch {
	case q.err != nil:
		return nil, q.err
	case o.Lease < time.Millisecond:
		return nil, fmt.Errorf("redispubsub: %w: Lease %v: want at least 1ms", pubsub.ErrInvalid, o.Lease)
	}
	c := &queueConsumer{
		q: q, topic: topic, group: group, lease: o.Lease.Truncate(time.Millisecond),
		name:     fmt.Sprintf("%d.%s", o.Lease.Milliseconds(), pubsub.NewID()),
		look:     min(max(o.Lease/looksPerLease, minLook), maxLook),
		patience: min(max(o.Lease/2, minPatience), maxPatience),
		ended:    make(chan struct{}),
		most:     maxEntries,
		has:      map[entryName]time.Time{},
	}
	reply, err := c.run(ctx, queueJoin)
	if err == nil {
		c.last.token, err = decodeQueueToken(reply)
	}
	if err != nil {
		return nil, queueFail("join", topic, err)
	}
	c.ctx, c.stop = context.WithCancel(context.WithoutCancel(ctx))
	return c, nil
}

func decodeQueueToken(reply any) (uint64, error) {
	n, err := strconv.ParseUint(textOf(reply), 10, 64)
	if err != nil || n == 0 {
		return 0, errReply
	}
	return n, nil
}

// run runs a script of a consumer.
func (c *queueConsumer) run(ctx context.Context, s *redis.Script, args ...any) (any, error) {
	return c.q.run(ctx, s, c.topic, append([]any{c.group, c.name}, args...)...)
}

func (c *queueConsumer) stream(part int) string {
	return c.q.queueKey(c.topic) + ":s:" + strconv.Itoa(part)
}

func (c *queueConsumer) fail(verb string, err error) error { return queueFail(verb, c.topic, err) }

// Ack implements pubsub.QueueConsumer. It is one round trip.
func (c *queueConsumer) Ack(ctx context.Context, rs []pubsub.Receipt) error {
	ids := map[int][]string{}
	for _, r := range rs {
		if r, ok := r.(queueReceipt); ok {
			ids[r.part] = append(ids[r.part], r.id)
		}
	}
	_, err := queueAwait(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, c.ack(ctx, ids) })
	if err != nil {
		return c.fail("ack to", err)
	}
	c.forget(rs)
	c.acked.Store(true)
	return nil
}

func (c *queueConsumer) ack(ctx context.Context, ids map[int][]string) error {
	if len(ids) == 1 {
		for part, ids := range ids {
			return c.q.rdb.XAck(ctx, c.stream(part), c.group, ids...).Err()
		}
	}
	_, err := c.q.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for part, ids := range ids {
			p.XAck(ctx, c.stream(part), c.group, ids...)
		}
		return nil
	})
	return err
}

// forget takes messages off the list of what is here.
func (c *queueConsumer) forget(rs []pubsub.Receipt) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range rs {
		if r, ok := r.(queueReceipt); ok {
			delete(c.has, r.entry())
		}
	}
}

// Extend implements pubsub.QueueConsumer.
func (c *queueConsumer) Extend(ctx context.Context, rs []pubsub.Receipt) ([]bool, error) {
	kept := make([]bool, 0, len(rs))
	for from := 0; from < len(rs); from += maxEntries {
		some := rs[from:min(from+maxEntries, len(rs))]
		asked := time.Now()
		reply, err := c.run(ctx, queueExtend, receiptArgs(some)...)
		if err != nil {
			return nil, c.fail("extend leases of", err)
		}
		answers, ok := reply.([]any)
		if !ok || len(answers) != len(some) {
			return nil, c.fail("extend leases of", errReply)
		}
		c.mu.Lock()
		for i, a := range answers {
			still := a == int64(1)
			kept = append(kept, still)
			if r, ok := some[i].(queueReceipt); ok && still {
				c.has[r.entry()] = asked.Add(c.lease)
			} else if ok {
				delete(c.has, r.entry())
			}
		}
		c.mu.Unlock()
	}
	return kept, nil
}

// receiptArgs names messages to a script. What is not ours becomes one that is nobody's.
func receiptArgs(rs []pubsub.Receipt) []any {
	args := make([]any, 0, 3*len(rs))
	for _, r := range rs {
		r, ok := r.(queueReceipt)
		if !ok {
			r.id = "0-0"
		}
		args = append(args, r.part, r.id, r.delivered)
	}
	return args
}

// Bury implements pubsub.QueueConsumer. It is one script. A message that is no longer this consumer's is left to whoever has it.
func (c *queueConsumer) Bury(ctx context.Context, r pubsub.Receipt, d pubsub.DeadLetter) (bool, error) {
	args := append(receiptArgs([]pubsub.Receipt{r}), d.ID, d.Key, encodeHeader(d.Header), d.Data, d.Attempts, errorText(d.Error))
	reply, err := c.run(ctx, queueBury, args...)
	if err != nil {
		return false, c.fail("bury a message of", err)
	}
	c.forget([]pubsub.Receipt{r})
	return reply == int64(1), nil
}

// errorText returns what is kept of the text of an error: whole characters.
func errorText(s string) string {
	if len(s) <= maxErrorText {
		return s
	}
	end := maxErrorText
	for end > maxErrorText-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

// Release implements pubsub.QueueConsumer. It does not count the delivery.
func (c *queueConsumer) Release(ctx context.Context, rs []pubsub.Receipt) error {
	for from := 0; from < len(rs); from += maxEntries {
		some := rs[from:min(from+maxEntries, len(rs))]
		if _, err := c.run(ctx, queueRelease, receiptArgs(some)...); err != nil {
			return c.fail("release messages of", err)
		}
		c.forget(some)
	}
	return nil
}

// Close implements pubsub.QueueConsumer. It waits for the step under way, so that what that brings is given back too.
func (c *queueConsumer) Close(ctx context.Context) error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	c.mu.Unlock()
	done := make(chan struct{})
	go func() {
		c.work.Wait()
		c.stop()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done(): // the lease of what the step brings ends by itself
	}
	c.mu.Lock()
	unseen := c.stash
	c.stash = nil
	c.mu.Unlock()
	if err := c.Release(ctx, receiptsOf(unseen)); err != nil {
		return err
	}
	_, err := c.run(ctx, queueLeave)
	return c.fail("leave", err)
}

func receiptsOf(rs []pubsub.Received) []pubsub.Receipt {
	out := make([]pubsub.Receipt, len(rs))
	for i := range rs {
		out[i] = rs[i].Receipt
	}
	return out
}
