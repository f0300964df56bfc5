package natspubsub

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/concordkit/concord/pubsub"
)

// Stats implements pubsub.QueueBackend. Its numbers are the server's, gathered one after the other.
func (q *Queue) Stats(ctx context.Context, topic, group string) (pubsub.Stats, error) {
	s, err := q.stats(ctx, topic, group)
	if err != nil {
		return pubsub.Stats{}, fmt.Errorf("natspubsub: stats of %q for %q: %w", topic, group, err)
	}
	return s, nil
}

func (q *Queue) stats(ctx context.Context, topic, group string) (st pubsub.Stats, err error) {
	if q.err != nil {
		return st, q.err
	}
	if st.Dead, err = q.countDead(ctx, topic, group); err != nil {
		return st, err
	}
	stream, err := q.topic(topic).existing(ctx, q.o.stream(topic))
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return st, nil
	}
	if err != nil {
		return st, err
	}
	i, err := stream.Info(ctx, jetstream.WithSubjectFilter(q.o.root(topic)+".m.>"))
	if err != nil {
		return st, err
	}
	st.Delayed = int(i.State.Msgs)
	inPart := map[string]int{} // what a group that is new would get
	for subject, n := range i.State.Subjects {
		st.Delayed -= int(n)
		part, only, _ := strings.Cut(strings.TrimPrefix(subject, q.o.root(topic)+".m."), ".")
		if only == "" || only == group {
			inPart[part] += int(n)
		}
	}
	for part := range max(q.o.Partitions, 1) {
		c, err := stream.Consumer(ctx, q.o.consumer(group, part))
		switch {
		case errors.Is(err, jetstream.ErrConsumerNotFound):
			st.Waiting += inPart[fmt.Sprint(part)]
		case err != nil:
			return st, err
		default:
			st.Waiting += int(c.CachedInfo().NumPending)
			st.Pending += c.CachedInfo().NumAckPending
		}
	}
	return st, nil
}

func (q *Queue) countDead(ctx context.Context, topic, group string) (n int, err error) {
	dead, err := q.topic(topic).readyDead(ctx, false)
	if err != nil || dead == nil {
		return 0, err
	}
	i, err := dead.Info(ctx, jetstream.WithSubjectFilter(q.o.deadRoot(topic)+"."+group+".>"))
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return 0, nil
	case err != nil:
		return 0, err
	}
	for _, k := range i.State.Subjects {
		n += int(k)
	}
	return n, nil
}
