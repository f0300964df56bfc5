package redispubsub

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concordkit/concord/pubsub"
)

// take looks for messages, at most until the script is to run again.
func (c *queueConsumer) take(ctx context.Context, s *queueStep) ([]pubsub.Received, queueLook, error) {
	look := s.look
	parted := c.q.o.Partitions > 0
	var waits []string
	now := time.Now()
	if parted || s.recover || !now.Before(look.next) || !look.due.IsZero() && !now.Before(look.due) {
		if s.fence && parted { // what was sent before and comes late is refused from now on
			if _, err := c.find(ctx, 0, nil); err != nil {
				return nil, look, err
			}
		}
		lost, err := c.lostEntries(ctx, s)
		if err != nil {
			return nil, look, err
		}
		reply, err := c.find(ctx, s.n, lost)
		if err != nil {
			return nil, look, err
		}
		found, err := c.decodeFound(reply, now)
		if err != nil {
			return nil, look, err
		}
		look = queueLook{token: found.token, next: time.Now().Add(c.look)}
		if found.due >= 0 {
			look.due = time.Now().Add(found.due)
		}
		if len(found.rs) > 0 {
			rs, err := c.ours(ctx, found.rs)
			return rs, look, err
		}
		waits = found.waits
	}
	until := look.next
	if !look.due.IsZero() && look.due.Before(until) {
		until = look.due
	}
	block := max(time.Until(until), time.Millisecond)
	if ctx.Err() != nil {
		return nil, look, ctx.Err()
	}
	if parted {
		return nil, look, c.wait(ctx, waits, block)
	}
	fresh, err := c.read(ctx, s.n, block, look.token)
	if queueSays(err, "NOGROUP") {
		look.next = time.Time{} // the script makes the group again
	}
	if err != nil || len(fresh) == 0 {
		return nil, look, err
	}
	rs, err := c.ours(ctx, fresh)
	return rs, look, err
}

// find runs the script.
func (c *queueConsumer) find(ctx context.Context, n int, lost []any) (any, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	acked := c.acked.Swap(false)
	args := []any{c.group, c.name, n, c.q.o.MaxAge.Milliseconds(), flag(acked || c.q.o.MaxAge > 0), c.calls.Add(1)}
	reply, err := c.q.runOnce(ctx, queueFetch, c.topic, append(args, lost...)...)
	if err != nil && acked {
		c.acked.Store(true)
	}
	return reply, err
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// lostEntries returns the partitions and IDs of messages that are this consumer's without its knowledge: an answer was lost.
func (c *queueConsumer) lostEntries(ctx context.Context, s *queueStep) (args []any, err error) {
	if !s.recover {
		return nil, nil
	}
	now := time.Now()
	has := map[entryName]bool{}
	c.mu.Lock()
	for e, until := range c.has {
		if has[e] = until.After(now); !has[e] {
			delete(c.has, e)
		}
	}
	c.mu.Unlock()
	cmds := make([]*redis.XPendingExtCmd, max(c.q.o.Partitions, 1))
	_, err = c.q.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for part := range cmds {
			cmds[part] = p.XPendingExt(ctx, &redis.XPendingExtArgs{
				Stream: c.stream(part), Group: c.group, Start: "-", End: "+", Count: int64(len(has) + maxEntries), Consumer: c.name,
			})
		}
		return nil
	})
	if err != nil && !queueSays(err, "NOGROUP") {
		return nil, err
	}
	for part, cmd := range cmds {
		for _, p := range cmd.Val() {
			switch {
			case has[entryName{part, p.ID}]:
			case len(args) < 2*s.n:
				args = append(args, part, p.ID)
			default: // the next step takes more of them
				return args, nil
			}
		}
	}
	return args, nil
}

// read waits for new messages.
func (c *queueConsumer) read(ctx context.Context, n int, block time.Duration, token uint64) ([]found, error) {
	asked := time.Now()
	streams, err := c.q.readGroup(ctx, c.stream(0), c.group, c.name, n, block)
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil || len(streams) == 0 {
		return nil, err
	}
	fs := make([]found, len(streams[0].Messages))
	for i, m := range streams[0].Messages {
		field := func(name string) string { return textOf(m.Values[name]) }
		fs[i] = c.found(0, m.ID, 1, token, asked, field)
	}
	return fs, nil
}

// wait waits until there may be something in one of the partitions.
func (c *queueConsumer) wait(ctx context.Context, waits []string, block time.Duration) error {
	if len(waits) == 0 {
		select {
		case <-time.After(block):
		case <-ctx.Done():
		}
		return nil
	}
	err := c.q.rdb.XRead(ctx, &redis.XReadArgs{Streams: waits, Count: 1, Block: block}).Err()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}

// found is a message that was handed out to this consumer.
type found struct {
	pubsub.Received
	only string // the one group that it is for
}

func (c *queueConsumer) found(part int, id string, delivered int, token uint64, asked time.Time, field func(string) string) found {
	return found{
		Received: pubsub.Received{
			Message: decodeMessage(c.topic, field), Receipt: queueReceipt{part, id, delivered}, Delivered: delivered,
			Token: token, Partition: part, Published: entryTime(id), Asked: asked,
		},
		only: field("o"),
	}
}

// ours leaves out what is for other groups, and settles that for this one.
func (c *queueConsumer) ours(ctx context.Context, fs []found) ([]pubsub.Received, error) {
	rs := make([]pubsub.Received, 0, len(fs))
	others := map[int][]string{}
	for _, f := range fs {
		if f.only == "" || f.only == c.group {
			rs = append(rs, f.Received)
			continue
		}
		r := f.Receipt.(queueReceipt)
		others[r.part] = append(others[r.part], r.id)
	}
	if len(others) > 0 {
		return rs, c.ack(ctx, others)
	}
	return rs, nil
}

// founds is what the script has found.
type founds struct {
	due   time.Duration // until the next delayed message, negative for none
	token uint64
	rs    []found
	waits []string // streams that have no more, then their last IDs
}

// decodeFound reads the reply of fetch.
func (c *queueConsumer) decodeFound(reply any, asked time.Time) (founds, error) {
	parts, ok := reply.([]any)
	if !ok || len(parts) != 4 {
		return founds{}, errReply
	}
	due, ok1 := parts[0].(int64)
	entries, ok2 := parts[2].([]any)
	waits, ok3 := parts[3].([]any)
	token, err := decodeQueueToken(parts[1])
	if !ok1 || !ok2 || !ok3 || err != nil {
		return founds{}, errReply
	}
	f := founds{due: time.Duration(due) * time.Microsecond, token: token}
	for _, e := range entries {
		r, err := c.decodeEntry(e, asked)
		if err != nil {
			return founds{}, err
		}
		f.rs = append(f.rs, r)
	}
	var ids []string
	for i := 0; i+1 < len(waits); i += 2 {
		part, _ := waits[i].(int64)
		f.waits = append(f.waits, c.q.queueKey(c.topic)+":s:"+strconv.FormatInt(part, 10))
		ids = append(ids, textOf(waits[i+1]))
	}
	f.waits = append(f.waits, ids...)
	return f, nil
}

// decodeEntry reads {partition, ID, count, token, fields}.
func (c *queueConsumer) decodeEntry(reply any, asked time.Time) (found, error) {
	parts, ok := reply.([]any)
	if !ok || len(parts) != 5 {
		return found{}, errReply
	}
	part, ok1 := parts[0].(int64)
	count, ok2 := parts[2].(int64)
	fields, ok3 := parts[4].([]any)
	token, err := decodeQueueToken(parts[3])
	if !ok1 || !ok2 || !ok3 || err != nil {
		return found{}, errReply
	}
	field := func(name string) string {
		for i := 0; i+1 < len(fields); i += 2 {
			if fields[i] == name {
				return textOf(fields[i+1])
			}
		}
		return ""
	}
	return c.found(int(part), textOf(parts[1]), int(count), token, asked, field), nil
}
