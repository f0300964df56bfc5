package redispubsub

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concordkit/concord/pubsub"
)

const (
	defaultQueuePrefix  = "concord:queue:"
	defaultDedupeWindow = 2 * time.Minute
	defaultMaxLen       = 1_000_000
	maxPartitions       = 256
	// maxPublish is what Publish sends at most: Redis takes strings up to 512 MiB and, by default, no client's requests beyond 1 GiB.
	maxPublish = 512<<20 - 64<<10
	// maxErrorText is what is kept of the error of a dead letter.
	maxErrorText = 64 << 10
)

// QueueOptions configure [NewQueue]. A nil *QueueOptions means the defaults.
type QueueOptions struct {
	// Prefix starts every key. It defaults to "concord:queue:".
	Prefix string
	// DedupeWindow is for how long IDs are remembered, by the server's clock, 1 ms to 24 h. It defaults to 2 minutes. An ID takes about
	// 150 bytes of the server's memory meanwhile.
	DedupeWindow time.Duration
	// Partitions is how many parts a topic has, up to 256. 0, the default, means that consumers share it. It is the topic's for
	// ever: whoever opens a topic with another number gets ErrInvalid.
	Partitions int
	// MaxLen is how many messages a topic, or each partition of it, keeps, 1 to 100,000,000: those that some group has not settled,
	// and all where there is no group. As many may be delayed. It defaults to 1,000,000. Beyond it Publish returns
	// pubsub.ErrFull.
	MaxLen int
	// MaxAge is for how long a topic keeps messages, 1 s or more. Older ones are dropped, also those that a group has not
	// settled, when a consumer of any group looks or a topic is full, and some stay for longer. 0, the default, means for ever:
	// then a group that nobody consumes for any more keeps them all until XGROUP DESTROY ends it.
	MaxAge time.Duration
}

// Queue is a [pubsub.QueueBackend] on Redis Streams. NewQueue makes it.
//
// It needs Redis 7.0 or later, one server, a master that Sentinels watch, or a Cluster, where a topic with all its groups is
// on one node. What Publish has acknowledged is as safe as the server's persistence makes it, see [Queue.Info]; a failover may
// lose the last writes.
//
// # Limits
//
// A consumer takes one connection of the client's pool while it waits, and up to four while the network fails: PoolSize should be
// greater than the consumers. Set ContextTimeoutEnabled in the options of the client, so that a connection without answers is
// given up after seconds; without it go-redis takes ReadTimeout, and ten seconds more for one that waits. Calls return when their
// context ends either way.
//
// A consumer looks for what others have let go of or lost, and for messages that are due, every eighth of its lease, at least every 500 ms:
// so much later may they come. A step of the server's clock moves due times and the dedupe window.
//
// A message with its ID, key and header is at most 512 MiB less 64 KiB, and so is what one Publish sends. Nobody else may write to
// the keys; a topic that nobody uses any more is deleted by deleting those that begin with its.
//
// # Keys
//
// Those of a topic begin with <prefix>{<topic>}, the topic escaped as by [url.QueryEscape]: that key itself, and behind it
// :s:<partition> for the messages, :o:<partition> for those that are for one group, :ids for the IDs that are remembered, :d and :m
// for delayed messages, :g:<group> for a group and :x:<group> for its dead letters.
type Queue struct {
	rdb redis.UniversalClient
	o   QueueOptions
	err error
}

// NewQueue returns a Queue over rdb, which stays the caller's. It does no I/O. Bad options, a nil client and a [redis.Ring], which
// moves the keys of a server that is down, are reported by every call.
func NewQueue(rdb redis.UniversalClient, o *QueueOptions) *Queue {
	if o == nil {
		o = new(QueueOptions)
	}
	q := &Queue{rdb: rdb, o: *o}
	q.o.Prefix = cmp.Or(o.Prefix, defaultQueuePrefix)
	q.o.DedupeWindow = cmp.Or(o.DedupeWindow, defaultDedupeWindow)
	q.o.MaxLen = cmp.Or(o.MaxLen, defaultMaxLen)
	v := reflect.ValueOf(rdb)
	_, ring := rdb.(*redis.Ring)
	wrong := ""
	switch {
	case rdb == nil || v.Kind() == reflect.Pointer && v.IsNil():
		wrong = "nil client"
	case ring:
		wrong = "a redis.Ring moves the keys of a server that is down"
	case strings.ContainsAny(q.o.Prefix, "{}"):
		wrong = fmt.Sprintf("Prefix %.40q: want no braces", o.Prefix)
	case q.o.DedupeWindow < time.Millisecond || q.o.DedupeWindow > 24*time.Hour:
		wrong = fmt.Sprintf("DedupeWindow %v: want 1ms to 24h", o.DedupeWindow)
	case o.Partitions < 0 || o.Partitions > maxPartitions:
		wrong = fmt.Sprintf("Partitions %d: want 0 to %d", o.Partitions, maxPartitions)
	case q.o.MaxLen < 1 || q.o.MaxLen > 100_000_000:
		wrong = fmt.Sprintf("MaxLen %d: want 1 to 100000000", o.MaxLen)
	case o.MaxAge != 0 && o.MaxAge < time.Second:
		wrong = fmt.Sprintf("MaxAge %v: want 0 or at least 1s", o.MaxAge)
	}
	if wrong != "" {
		q.err = fmt.Errorf("redispubsub: %w: %s", pubsub.ErrInvalid, wrong)
	}
	return q
}

// queueKey returns the first key of a topic.
func (q *Queue) queueKey(topic string) string { return q.o.Prefix + "{" + url.QueryEscape(topic) + "}" }

// run runs a script of a topic.
func (q *Queue) run(ctx context.Context, s *redis.Script, topic string, args ...any) (any, error) {
	args = append([]any{q.o.Partitions}, args...)
	return queueAwait(ctx, func(ctx context.Context) (any, error) {
		return s.Run(ctx, q.rdb, []string{q.queueKey(topic)}, args...).Result()
	})
}

// Publish implements pubsub.QueueBackend. It is one script.
func (q *Queue) Publish(ctx context.Context, topic string, ms []pubsub.Message, delay time.Duration) error {
	if q.err != nil {
		return q.err
	}
	args := make([]any, 0, 4+5*len(ms))
	args = append(args, q.o.DedupeWindow.Microseconds(), delay.Microseconds(), q.o.MaxLen, q.o.MaxAge.Milliseconds())
	size := 0
	for i := range ms {
		m := &ms[i]
		header := encodeHeader(m.Header)
		n := len(m.ID) + len(m.Key) + len(header) + len(m.Data)
		if size += n; size > maxPublish {
			return fmt.Errorf("redispubsub: %w: message %d of %d has %d bytes, and with those before %d: want at most %d",
				pubsub.ErrTooLarge, i+1, len(ms), n, size, maxPublish)
		}
		args = append(args, m.Partition(q.o.Partitions), m.ID, m.Key, header, m.Data)
	}
	_, err := q.run(ctx, queuePublish, topic, args...)
	return queueFail("publish to", topic, err)
}

// Stats implements pubsub.QueueBackend. The figures are those of one moment: what waits is the difference between the numbers of
// the last message and of the last one that was handed out, less what is for other groups, plus what was given back. What a
// consumer has had for longer than its lease is pending until another one has it.
func (q *Queue) Stats(ctx context.Context, topic, group string) (pubsub.Stats, error) {
	if q.err != nil {
		return pubsub.Stats{}, q.err
	}
	reply, err := q.run(ctx, queueStats, topic, group)
	if err != nil {
		return pubsub.Stats{}, queueFail("stats of", topic, err)
	}
	ns, ok := reply.([]any)
	if !ok || len(ns) != 4 {
		return pubsub.Stats{}, queueFail("stats of", topic, errReply)
	}
	var figures [4]int
	for i := range figures {
		n, _ := ns[i].(int64)
		figures[i] = int(n)
	}
	return pubsub.Stats{Waiting: figures[0], Pending: figures[1], Delayed: figures[2], Dead: figures[3]}, nil
}

// Dead implements pubsub.QueueBackend. A Ref is the letter's ID in its stream.
func (q *Queue) Dead(ctx context.Context, topic, group, after string, n int) ([]pubsub.DeadLetter, error) {
	if q.err != nil {
		return nil, q.err
	}
	from := "-"
	if after != "" {
		if !isEntryID(after) {
			return nil, fmt.Errorf("redispubsub: %w: Ref %.40q is not one of ours", pubsub.ErrInvalid, after)
		}
		from = "(" + after
	}
	letters, err := queueAwait(ctx, func(ctx context.Context) ([]redis.XMessage, error) {
		return q.rdb.XRangeN(ctx, q.queueKey(topic)+":x:"+group, from, "+", int64(n)).Result()
	})
	if err != nil {
		return nil, queueFail("dead letters of", topic, err)
	}
	ds := make([]pubsub.DeadLetter, len(letters))
	for i, l := range letters {
		attempts, _ := strconv.Atoi(textOf(l.Values["a"]))
		ds[i] = pubsub.DeadLetter{
			Message:  decodeMessage(topic, func(name string) string { return textOf(l.Values[name]) }),
			Group:    group,
			Attempts: attempts,
			Error:    textOf(l.Values["e"]),
			At:       entryTime(l.ID),
			Ref:      l.ID,
		}
	}
	return ds, nil
}

// Redrive implements pubsub.QueueBackend. It is one script: a letter is there until its message is back in the topic.
func (q *Queue) Redrive(ctx context.Context, d pubsub.DeadLetter) (bool, error) {
	if q.err != nil || !isEntryID(d.Ref) {
		return false, q.err
	}
	reply, err := queueAwait(ctx, func(ctx context.Context) (any, error) {
		return q.runOnce(ctx, queueRedrive, d.Topic, d.Group, d.Ref)
	})
	return reply == int64(1), queueFail("redrive from", d.Topic, err)
}
