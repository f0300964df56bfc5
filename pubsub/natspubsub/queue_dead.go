package natspubsub

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/concordkit/concord/pubsub"
)

// Bury implements pubsub.QueueConsumer. It stores the letter, under a subject that the message alone has and only if there is none,
// and settles the message then.
func (c *queueConsumer) Bury(ctx context.Context, r pubsub.Receipt, d pubsub.DeadLetter) (bool, error) {
	own, _ := c.own([]pubsub.Receipt{r}, true)
	if len(own) == 0 {
		return false, nil
	}
	made, err := c.bury(ctx, own[0], d)
	if err != nil {
		return false, fmt.Errorf("natspubsub: bury %q of %q: %w", d.ID, c.t.name, err)
	}
	return made, nil
}

func (c *queueConsumer) bury(ctx context.Context, r *queueReceipt, d pubsub.DeadLetter) (bool, error) {
	if _, err := c.t.readyDead(ctx, true); err != nil {
		return false, err
	}
	a := parseAck(r.reply)
	subject := fmt.Sprintf("%s.%s.%d.%d", c.q.o.deadRoot(c.t.name), c.group, a.stream, a.timestamp)
	m := encodeMessage(subject, &d.Message)
	m.Header[headerID] = m.Header[jetstream.MsgIDHeader]
	m.Header[jetstream.MsgIDHeader] = []string{subject}
	m.Header[jetstream.ExpectedLastSubjSeqHeader] = []string{"0"}
	m.Header[headerAttempts] = []string{strconv.Itoa(d.Attempts)}
	m.Header[headerError] = []string{errorText(d.Error)}
	fresh, err := c.q.store(ctx, []*nats.Msg{m})
	if e, ok := errors.AsType[*jetstream.APIError](err); ok && e.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
		err = nil // it is there
	}
	if err != nil {
		c.t.forget() // the stream may have gone
		return false, err
	}
	if _, err := c.tell(ctx, []*queueReceipt{r}, "+ACK", true); err != nil {
		return false, err
	}
	c.settle([]*queueReceipt{r})
	return fresh > 0, nil
}

// Dead implements pubsub.QueueBackend. It takes a request for each letter.
func (q *Queue) Dead(ctx context.Context, topic, group, after string, n int) ([]pubsub.DeadLetter, error) {
	ds, err := q.dead(ctx, topic, group, after, n)
	if err != nil {
		return nil, fmt.Errorf("natspubsub: dead letters of %q for %q: %w", topic, group, err)
	}
	return ds, nil
}

func (q *Queue) dead(ctx context.Context, topic, group, after string, n int) (ds []pubsub.DeadLetter, err error) {
	if q.err != nil {
		return nil, q.err
	}
	last := uint64(0)
	if after != "" {
		if last, err = parseRef(after); err != nil {
			return nil, err
		}
	}
	t := q.topic(topic)
	s, err := t.readyDead(ctx, false)
	if err != nil || s == nil {
		return nil, err
	}
	for len(ds) < n {
		m, err := s.GetMsg(ctx, last+1, jetstream.WithGetMsgSubject(q.o.deadRoot(topic)+"."+group+".*.*"))
		if missing(err) {
			break
		}
		if err != nil {
			return nil, err
		}
		last = m.Sequence
		ds = append(ds, deadLetter(topic, group, m))
	}
	return ds, nil
}

func parseRef(ref string) (uint64, error) {
	seq, err := strconv.ParseUint(ref, 10, 64)
	if err != nil || seq == 0 {
		return 0, fmt.Errorf("%w: Ref %.40q is not one of ours", pubsub.ErrInvalid, ref)
	}
	return seq, nil
}

func missing(err error) bool {
	return errors.Is(err, jetstream.ErrMsgNotFound) || errors.Is(err, jetstream.ErrStreamNotFound)
}

func deadLetter(topic, group string, m *jetstream.RawStreamMsg) pubsub.DeadLetter {
	attempts, _ := strconv.Atoi(m.Header.Get(headerAttempts))
	return pubsub.DeadLetter{
		Message: decodeMessage(topic, m.Header, m.Data), Group: group, Attempts: attempts,
		Error: unescapeHeader(m.Header.Get(headerError)), At: m.Time, Ref: strconv.FormatUint(m.Sequence, 10),
	}
}

// Redrive implements pubsub.QueueBackend. The message is published for the group alone, with an ID of the letter's, so that
// doing it again does not double it, and the letter is deleted then.
func (q *Queue) Redrive(ctx context.Context, d pubsub.DeadLetter) (bool, error) {
	there, err := q.redrive(ctx, d)
	if err != nil {
		return false, fmt.Errorf("natspubsub: redrive %q of %q for %q: %w", d.Ref, d.Topic, d.Group, err)
	}
	return there, nil
}

func (q *Queue) redrive(ctx context.Context, d pubsub.DeadLetter) (bool, error) {
	if q.err != nil {
		return false, q.err
	}
	seq, err := parseRef(d.Ref)
	if err != nil {
		return false, err
	}
	t := q.topic(d.Topic)
	s, err := t.readyDead(ctx, false)
	if err != nil || s == nil {
		return false, err
	}
	stored, err := s.GetMsg(ctx, seq)
	if missing(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !strings.HasPrefix(stored.Subject, q.o.deadRoot(d.Topic)+"."+d.Group+".") {
		return false, nil // another group's
	}
	letter := deadLetter(d.Topic, d.Group, stored)
	if letter.ID != d.ID {
		return false, nil // of a stream that was made again
	}
	if _, _, err := t.ready(ctx); err != nil {
		return false, err
	}
	m := encodeMessage(q.o.subject(d.Topic, letter.Partition(q.o.Partitions), d.Group), &letter.Message)
	m.Header[headerID] = m.Header[jetstream.MsgIDHeader]
	m.Header[jetstream.MsgIDHeader] = []string{"%" + stored.Subject} // no message's own: those have %2
	if _, err := q.store(ctx, []*nats.Msg{m}); err != nil {
		t.forget()
		return false, err
	}
	if err := s.DeleteMsg(ctx, seq); err != nil && !missing(err) {
		if e, ok := errors.AsType[*jetstream.APIError](err); !ok || e.Code >= 500 {
			return false, err
		}
		// Another process has deleted it just now.
	}
	return true, nil
}
