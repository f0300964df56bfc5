package natspubsub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/concordkit/concord/pubsub"
)

// queueSource is one consumer of the server: a group's, or that of one partition of it.
type queueSource struct {
	c      *queueConsumer
	part   int
	name   string
	stream string

	// The rest is under c.mu.
	created   int64 // when the consumer was made, in microseconds since 1970: what tells it from a later one with its name
	stale     bool  // it may have gone
	pause     time.Duration
	notBefore time.Time // of the next request
	in        *queueInbox
	drains    map[*queueInbox]struct{} // that are being closed
	returns   int                      // batches that are being given back
	unsettled map[*queueReceipt]struct{}
	gathering *gathering
	full      bool // as many came last as were asked for

	pin     string // of this consumer, "" while it has none
	pinned  time.Time
	unsure  bool // older messages than what comes next may be pending elsewhere
	leaving bool // the pin is given up when all is settled
}

// ready makes sure that the consumer exists, as it should be.
func (s *queueSource) ready(ctx context.Context) error {
	stream, _, err := s.c.t.ready(ctx)
	if err != nil {
		return err
	}
	want := s.c.config(s.part)
	found, err := stream.Consumer(ctx, s.name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		found, err = stream.CreateConsumer(ctx, want)
		if errors.Is(err, jetstream.ErrConsumerExists) { // by another process, just now
			found, err = stream.Consumer(ctx, s.name)
		}
	}
	if err != nil {
		return err
	}
	have := found.CachedInfo().Config
	if err := s.check(have, want); err != nil {
		return err
	}
	if have.AckWait < want.AckWait { // never down: others count on it
		have.AckWait, have.PinnedTTL = want.AckWait, want.PinnedTTL
		if found, err = stream.UpdateConsumer(ctx, have); err != nil {
			return err
		}
	}
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if created := found.CachedInfo().Created.UnixMicro(); created != s.created {
		s.created = created
		s.pin, s.leaving = "", false
		clear(s.unsettled) // the new one hands them out again
		s.gathering = nil
	}
	s.stale, s.pause = false, 0
	return nil
}

// check names every setting by which a consumer would break the promises.
func (s *queueSource) check(c, o jetstream.ConsumerConfig) error {
	var errs []error
	want := func(ok bool, setting string, value any, rule string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%w: consumer %q of stream %q has %s %v: want %s",
				pubsub.ErrInvalid, s.name, s.stream, setting, value, rule))
		}
	}
	if o.PriorityPolicy == jetstream.PriorityPolicyPinned && c.PriorityPolicy == jetstream.PriorityPolicyNone && len(c.PriorityGroups) == 0 {
		return fmt.Errorf("%w: Partitions: they take nats-server 2.11 or later", pubsub.ErrUnsupported)
	}
	filters := c.FilterSubjects
	if c.FilterSubject != "" {
		filters = []string{c.FilterSubject}
	}
	want(c.AckPolicy == o.AckPolicy, "ack_policy", c.AckPolicy, o.AckPolicy.String())
	want(c.DeliverPolicy == o.DeliverPolicy, "deliver_policy", c.DeliverPolicy, o.DeliverPolicy.String())
	want(c.DeliverSubject == "", "deliver_subject", c.DeliverSubject, "none")
	want(c.MaxDeliver <= 0, "max_deliver", c.MaxDeliver, "none: beyond it messages are stuck")
	want(len(c.BackOff) == 0, "backoff", c.BackOff, "none: it takes the place of the lease")
	want(!c.HeadersOnly, "headers_only", c.HeadersOnly, "false")
	want(slices.Equal(filters, o.FilterSubjects), "filter_subjects", filters, fmt.Sprint(o.FilterSubjects))
	want(c.PriorityPolicy == o.PriorityPolicy, "priority_policy", c.PriorityPolicy, strconv.Itoa(int(o.PriorityPolicy)))
	want(slices.Equal(c.PriorityGroups, o.PriorityGroups), "priority_groups", c.PriorityGroups, fmt.Sprint(o.PriorityGroups))
	return errors.Join(errs...)
}

func (s *queueSource) extend(ctx context.Context, rs []*queueReceipt) (map[*queueReceipt]bool, error) {
	asked := time.Now()
	answers, err := s.c.tell(ctx, rs, "+WPI", true)
	if err == nil {
		_, err = s.info(ctx)
	}
	if err != nil {
		return nil, err
	}
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	extended := make(map[*queueReceipt]bool, len(rs))
	for i, r := range rs {
		if !r.settled && r.created == s.created && answers[i].at.Before(r.until) {
			r.until = asked.Add(s.c.lease)
			extended[r] = true
		}
	}
	return extended, nil
}

// info asks the server for what it knows of the consumer: nil if that is not the one that has handed out what is here. It notes whether
// another one has the partition.
func (s *queueSource) info(ctx context.Context) (*jetstream.ConsumerInfo, error) {
	s.c.mu.Lock()
	pin := s.pin
	s.c.mu.Unlock()
	i, err := s.c.q.js.Consumer(ctx, s.stream, s.name)
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, err
	}
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if err != nil || i.CachedInfo().Created.UnixMicro() != s.created {
		s.stale = true
		s.created = 0 // none of what it has handed out is ours
		s.c.signal()
		return nil, nil
	}
	for _, g := range i.CachedInfo().PriorityGroups {
		if pin != "" && pin == s.pin && g.PinnedClientID != "" && g.PinnedClientID != pin {
			s.unpinned()
			s.c.signal()
		}
	}
	return i.CachedInfo(), nil
}
