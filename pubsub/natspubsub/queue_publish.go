package natspubsub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/concordkit/concord/pubsub"
)

// Publish implements pubsub.QueueBackend. While nobody takes messages, since the stream has no leader or the server has just
// begun, it tries again until ctx ends; what was stored meanwhile is known by its ID.
func (q *Queue) Publish(ctx context.Context, topic string, ms []pubsub.Message, delay time.Duration) error {
	if err := q.publish(ctx, topic, ms, delay); err != nil {
		return fmt.Errorf("natspubsub: publish %q: %w", topic, err)
	}
	return nil
}

func (q *Queue) publish(ctx context.Context, topic string, ms []pubsub.Message, delay time.Duration) error {
	if q.err != nil {
		return q.err
	}
	t := q.topic(topic)
	out := make([]*nats.Msg, len(ms))
	for i := range ms {
		out[i] = encodeMessage(q.o.subject(topic, ms[i].Partition(q.o.Partitions), ""), &ms[i])
	}
	if err := checkSizes(out, q.nc.MaxPayload()); err != nil {
		return err
	}
	for pause := queueMinPause; ; pause = min(2*pause, queueMaxPause) {
		s, config, err := t.ready(ctx)
		if err != nil {
			return err
		}
		if config.MaxMsgSize > 0 {
			if err := checkSizes(out, int64(config.MaxMsgSize)); err != nil {
				return err
			}
		}
		if delay > 0 {
			if err := t.schedule(ctx, s, config, out, delay); err != nil {
				return err
			}
		}
		_, err = q.store(ctx, out)
		if err == nil || queueFinal(err) || ctx.Err() != nil {
			return err
		}
		t.forget() // it may have been deleted
		if !queueSleep(ctx, pause) {
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}

func checkSizes(ms []*nats.Msg, most int64) error {
	for i, m := range ms {
		if n := messageSize(m); n+queueOverhead > most {
			return fmt.Errorf("%w: message %d of %d has %d bytes with its headers: want at most %d",
				pubsub.ErrTooLarge, i+1, len(ms), n, most-queueOverhead)
		}
	}
	return nil
}

// Headers of a delayed message.
const (
	headerSchedule = "Nats-Schedule"
	headerTarget   = "Nats-Schedule-Target"
)

// schedule makes delayed messages of ms.
func (t *queueTopic) schedule(ctx context.Context, s jetstream.Stream, config jetstream.StreamConfig, ms []*nats.Msg, delay time.Duration) error {
	if !config.AllowMsgSchedules {
		return fmt.Errorf("%w: delays: stream %q has not allow_msg_schedules, which nats-server 2.12 or later knows",
			pubsub.ErrUnsupported, config.Name)
	}
	if config.MaxAge > 0 && delay >= config.MaxAge {
		return fmt.Errorf("%w: delay %v: stream %q removes messages after %v", pubsub.ErrUnsupported, delay, config.Name, config.MaxAge)
	}
	at, err := t.due(ctx, s, delay)
	if err != nil {
		return err
	}
	for _, m := range ms {
		if m.Header.Get(headerTarget) == "" {
			m.Header[headerTarget] = []string{m.Subject}
			m.Header[headerID] = m.Header[jetstream.MsgIDHeader]
			m.Subject = t.q.o.root(t.name) + ".d." + pubsub.NewID()
		}
		m.Header[headerSchedule] = []string{"@at " + at.UTC().Format(time.RFC3339Nano)}
	}
	return nil
}

// errQueueBusy reports that the stream could not take a message just now.
var errQueueBusy = errors.New("no leader takes messages")

// store sends messages and waits until all are stored. It returns how many were not known yet.
func (q *Queue) store(ctx context.Context, ms []*nats.Msg) (fresh int, err error) {
	answers, err := q.calls.do(ctx, ms, nil)
	if err != nil {
		return 0, err
	}
	for i, a := range answers {
		known, err := ackOf(a)
		if err != nil {
			return fresh, fmt.Errorf("message %d of %d: %w", i+1, len(ms), err)
		}
		if !known {
			fresh++
		}
	}
	return fresh, nil
}

// ackOf returns what the acknowledgement of a publish says. A message that is known is stored.
func ackOf(a queueAnswer) (known bool, err error) {
	if a.none() {
		return false, errQueueBusy
	}
	var ack struct {
		Error    *jetstream.APIError `json:"error"`
		Sequence uint64              `json:"seq"`
		Known    bool                `json:"duplicate"`
	}
	err = json.Unmarshal(a.Data, &ack)
	switch {
	case err != nil:
		return false, fmt.Errorf("acknowledgement: %w", err)
	case ack.Error != nil && ack.Error.ErrorCode == codeDuplicateInProcess:
		return false, errQueueBusy
	case ack.Error != nil:
		return false, ack.Error
	case ack.Sequence == 0:
		return false, fmt.Errorf("acknowledgement %.80q", a.Data)
	}
	return ack.Known, nil
}

// codeDuplicateInProcess reports that a message with the ID is being stored, and may fail still.
const codeDuplicateInProcess = 10158
