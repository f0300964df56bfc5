package natspubsub

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/concordkit/concord/pubsub"
)

// partitionsKey says in the metadata of a stream how many partitions its topic has.
const partitionsKey = "concord.partitions"

// buriedWindow is for how long a letter that was redriven is not made again by a Bury that comes late.
const buriedWindow = time.Hour

// StreamConfig returns the settings of the stream of a topic, for operators that make streams themselves, with js.CreateStream. What
// the result leaves open may be set: placement, description, compression, limits. Servers before 2.12 want AllowMsgSchedules to be
// false. Errors wrap [pubsub.ErrInvalid].
func StreamConfig(topic string, o *QueueOptions) (jetstream.StreamConfig, error) {
	f, err := checkedQueue(topic, o)
	if err != nil {
		return jetstream.StreamConfig{}, err
	}
	return f.streamConfig(topic), nil
}

// DeadStreamConfig returns the settings of the stream of a topic's dead letters. It keeps them without limits.
func DeadStreamConfig(topic string, o *QueueOptions) (jetstream.StreamConfig, error) {
	f, err := checkedQueue(topic, o)
	if err != nil {
		return jetstream.StreamConfig{}, err
	}
	return f.deadConfig(topic), nil
}

func checkedQueue(topic string, o *QueueOptions) (QueueOptions, error) {
	f, err := o.filled()
	if err == nil {
		err = pubsub.CheckTopic(topic)
	}
	return f, err
}

func (o *QueueOptions) streamConfig(topic string) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: o.stream(topic), Subjects: []string{o.root(topic) + ".>"},
		Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardOld, Storage: o.Storage, Replicas: o.Replicas,
		MaxAge: o.MaxAge, MaxBytes: limit(o.MaxBytes), MaxMsgs: limit(o.MaxMsgs), MaxMsgsPerSubject: -1, MaxMsgSize: -1,
		MaxConsumers: -1, Duplicates: o.DedupeWindow, AllowDirect: true, AllowRollup: true, AllowMsgSchedules: true,
		Metadata: map[string]string{partitionsKey: strconv.Itoa(o.Partitions)},
	}
}

func (o *QueueOptions) deadConfig(topic string) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: o.deadStream(topic), Subjects: []string{o.deadRoot(topic) + ".*.*.*"},
		Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew, Storage: o.Storage, Replicas: o.Replicas,
		MaxBytes: -1, MaxMsgs: -1, MaxMsgsPerSubject: -1, MaxMsgSize: -1, MaxConsumers: -1, Duplicates: buriedWindow,
	}
}

func limit(n int64) int64 {
	if n == 0 {
		return -1
	}
	return n
}

// queueTopic is what is known of a topic.
type queueTopic struct {
	q    *Queue
	name string

	mu     sync.Mutex
	stream jetstream.Stream // nil until it was looked at
	dead   jetstream.Stream
	config jetstream.StreamConfig
	// ahead is by how much the server's clock may be ahead of this process's.
	ahead   time.Duration
	aheadAt time.Time // when that was found
}

func (q *Queue) topic(name string) *queueTopic {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := q.topics[name]
	if t == nil {
		t = &queueTopic{q: q, name: name}
		q.topics[name] = t
	}
	return t
}

// forget makes the next call look at the streams again.
func (t *queueTopic) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stream, t.dead = nil, nil
}

// ready returns the stream of the topic, which it makes if there is none, and its settings.
func (t *queueTopic) ready(ctx context.Context) (jetstream.Stream, jetstream.StreamConfig, error) {
	t.mu.Lock()
	s, c := t.stream, t.config
	t.mu.Unlock()
	if s != nil {
		return s, c, nil
	}
	level, err := t.q.apiLevel(ctx)
	if err != nil {
		return nil, c, err
	}
	want := t.q.o.streamConfig(t.name)
	want.AllowMsgSchedules = level >= schedulesLevel
	s, err = t.open(ctx, want)
	if err != nil {
		return nil, c, err
	}
	c = s.CachedInfo().Config
	if err := t.check(c, want); err != nil {
		return nil, c, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stream, t.config = s, c
	return s, c, nil
}

// readyDead returns the stream of dead letters. Unless it is to be made, there may be none, and it returns nil.
func (t *queueTopic) readyDead(ctx context.Context, create bool) (jetstream.Stream, error) {
	t.mu.Lock()
	s := t.dead
	t.mu.Unlock()
	if s != nil {
		return s, nil
	}
	want := t.q.o.deadConfig(t.name)
	var err error
	if create {
		s, err = t.open(ctx, want)
	} else if s, err = t.existing(ctx, want.Name); errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := t.check(s.CachedInfo().Config, want); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dead = s
	return s, nil
}

// open returns a stream that exists, or makes it.
func (t *queueTopic) open(ctx context.Context, want jetstream.StreamConfig) (s jetstream.Stream, err error) {
	err = queueRetry(ctx, func(ctx context.Context) error {
		s, err = t.q.js.Stream(ctx, want.Name)
		if !errors.Is(err, jetstream.ErrStreamNotFound) {
			return err
		}
		s, err = t.q.js.CreateStream(ctx, want)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // by another process, just now
			s, err = t.q.js.Stream(ctx, want.Name)
		}
		return err
	})
	return s, err
}

func (t *queueTopic) existing(ctx context.Context, name string) (s jetstream.Stream, err error) {
	var missing error
	err = queueRetry(ctx, func(ctx context.Context) error {
		s, err = t.q.js.Stream(ctx, name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			missing = err
			return nil
		}
		return err
	})
	return s, errors.Join(err, missing)
}

// check names every setting by which a stream would break the promises.
func (t *queueTopic) check(c, o jetstream.StreamConfig) error {
	var errs []error
	want := func(ok bool, setting string, value any, rule string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%w: stream %q has %s %v: want %s", pubsub.ErrInvalid, o.Name, setting, value, rule))
		}
	}
	want(len(c.Subjects) == 1 && c.Subjects[0] == o.Subjects[0], "subjects", c.Subjects, o.Subjects[0]+" alone")
	want(c.Retention == jetstream.LimitsPolicy, "retention", c.Retention, "Limits: a group that is new begins with the oldest message")
	want(c.Discard == o.Discard, "discard policy", c.Discard, o.Discard.String())
	want(c.MaxMsgsPerSubject <= 0, "max_msgs_per_subject", c.MaxMsgsPerSubject, "none: all messages have few subjects")
	want(c.Storage == o.Storage || c.Storage == jetstream.FileStorage, "storage", c.Storage, o.Storage.String())
	want(c.Replicas >= o.Replicas, "replicas", c.Replicas, strconv.Itoa(o.Replicas)+" or more")
	want(c.Duplicates >= o.Duplicates, "duplicate_window", c.Duplicates, o.Duplicates.String()+" or more")
	want(c.Mirror == nil, "mirror", c.Mirror != nil, "none: it takes no messages")
	want(len(c.Sources) == 0, "sources", len(c.Sources), "none")
	want(c.SubjectTransform == nil, "subject transform", c.SubjectTransform, "none")
	want(!c.Sealed, "sealed", c.Sealed, "false")
	want(!c.NoAck, "no_ack", c.NoAck, "false: nil from Publish means that it is stored")
	want(!c.AllowMsgCounter, "allow_msg_counter", c.AllowMsgCounter, "false")
	want(c.PersistMode == jetstream.DefaultPersistMode, "persist_mode", c.PersistMode,
		"default: an acknowledgement must mean that it is stored")
	want(c.MaxMsgSize <= 0 || int64(c.MaxMsgSize) >= 2*queueOverhead, "max_msg_size", c.MaxMsgSize, strconv.Itoa(2*queueOverhead)+" or more")
	if p, ok := o.Metadata[partitionsKey]; ok {
		want(c.Metadata[partitionsKey] == p, "metadata "+partitionsKey, fmt.Sprintf("%q", c.Metadata[partitionsKey]),
			p+", the Partitions of all that use it")
	} else {
		want(!c.DenyDelete, "deny_delete", c.DenyDelete, "false: letters are redriven")
		want(c.MaxAge == 0 && c.MaxMsgs <= 0 && c.MaxBytes <= 0 || c.Discard == jetstream.DiscardNew && c.MaxAge == 0,
			"max_age", c.MaxAge, "none: dead letters stay")
	}
	return errors.Join(errs...)
}

// aheadAge is for how long the difference of two clocks is taken for right.
const aheadAge = time.Minute

// due returns when what is delayed by d from now on is due, by the clock of the stream's leader, no sooner than it should.
func (t *queueTopic) due(ctx context.Context, s jetstream.Stream, d time.Duration) (time.Time, error) {
	t.mu.Lock()
	ahead, fresh := t.ahead, time.Since(t.aheadAt) < aheadAge && !t.aheadAt.IsZero()
	t.mu.Unlock()
	if !fresh {
		asked := time.Now()
		i, err := s.Info(ctx)
		if err != nil {
			return time.Time{}, err
		}
		if i.TimeStamp.IsZero() {
			return time.Time{}, fmt.Errorf("%w: delays: the server does not tell its time", pubsub.ErrUnsupported)
		}
		ahead = i.TimeStamp.Sub(asked)
		t.mu.Lock()
		t.ahead, t.aheadAt = ahead, asked
		t.mu.Unlock()
	}
	return time.Now().Add(ahead + d), nil
}
