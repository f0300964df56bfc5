package natslock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/concordkit/concord/lock"
)

const (
	// maxValue is the longest value. A bucket or a server may take less.
	maxValue = 64 << 10
	// overhead is more than the headers of a message and the head of its record need.
	overhead = 512
	// limitMarkerTTL is how long the marker of an expiry stays. Who follows a line should not lag further behind.
	limitMarkerTTL = 10 * time.Second
)

// Config returns the settings of a bucket for leases, to be made with js.CreateOrUpdateKeyValue: on files, with that many
// replicas. Three make [lock.Consensus]. What the result leaves open may be set: placement, description, compression.
func Config(bucket string, replicas int) jetstream.KeyValueConfig {
	return jetstream.KeyValueConfig{
		Bucket:         bucket,
		History:        1,
		Storage:        jetstream.FileStorage,
		Replicas:       replicas,
		LimitMarkerTTL: limitMarkerTTL,
	}
}

// seen is what a look at the bucket has shown.
type seen struct {
	info     lock.Info
	replicas int
}

// replicas returns how many replicas the bucket has; ready must have been called.
func (b *Backend) replicas() int { return b.seen.Load().replicas }

// inspect looks at the settings of the bucket.
func (b *Backend) inspect(ctx context.Context) error {
	s, err := b.js.Stream(ctx, b.stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("%w: %w: %q; make it with natslock.Config", lock.ErrInvalid, jetstream.ErrBucketNotFound, b.bucket)
	}
	if err != nil {
		return err
	}
	config := s.CachedInfo().Config
	room := min(maxValue, b.nc.MaxPayload()-overhead)
	if config.MaxMsgSize > 0 {
		room = min(room, int64(config.MaxMsgSize)-overhead)
	}
	if err := b.checkConfig(config, room); err != nil {
		return err
	}
	b.seen.Store(&seen{
		info: lock.Info{
			Guarantee:   guarantee(config),
			Granularity: time.Second,
			MaxValue:    int(room),
			Heeds:       lock.HeedsNothing, // see Limits
		},
		replicas: config.Replicas,
	})
	return nil
}

func guarantee(c jetstream.StreamConfig) lock.Guarantee {
	switch {
	case c.Storage != jetstream.FileStorage:
		return lock.Process
	case c.Replicas < 3:
		return lock.SingleNode
	}
	return lock.Consensus
}

// minRoom is the shortest MaxValue that is worth having.
const minRoom = 1 << 10

// checkConfig names every setting by which a bucket would break the promises.
func (b *Backend) checkConfig(c jetstream.StreamConfig, room int64) error {
	var errs []error
	want := func(ok bool, setting string, value any, rule string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%w: bucket %q has %s %v: want %s", lock.ErrInvalid, b.bucket, setting, value, rule))
		}
	}
	want(len(c.Subjects) == 1 && c.Subjects[0] == b.root+">", "subjects", c.Subjects, b.root+">, those of a bucket")
	want(c.AllowMsgTTL, "allow_msg_ttl", c.AllowMsgTTL,
		"true, which LimitMarkerTTL sets and nats-server 2.11 or later knows: leases are per-message TTLs")
	want(c.SubjectDeleteMarkerTTL > 0, "LimitMarkerTTL", c.SubjectDeleteMarkerTTL, "1s or more: markers tell of leases that ended")
	want(c.MaxAge == 0, "TTL", c.MaxAge, "0: it would end leases that are renewed")
	want(c.MaxMsgsPerSubject == 1, "History", c.MaxMsgsPerSubject, "1: with more, short leases live longer")
	want(c.AllowDirect, "allow_direct", c.AllowDirect, "true: lines are read by direct gets")
	want(c.AllowRollup, "allow_rollup_hdrs", c.AllowRollup, "true: releases roll up")
	want(c.Discard == jetstream.DiscardNew || c.MaxMsgs <= 0 && c.MaxBytes <= 0,
		"discard policy", c.Discard, "DiscardNew: a full bucket would end leases")
	want(c.Retention == jetstream.LimitsPolicy, "retention", c.Retention, "Limits")
	want(c.Mirror == nil, "mirror", c.Mirror != nil, "none: it takes no writes")
	want(len(c.Sources) == 0, "sources", len(c.Sources), "none: sequences of another bucket are no tokens")
	want(c.SubjectTransform == nil, "subject transform", c.SubjectTransform, "none")
	want(!c.Sealed, "sealed", c.Sealed, "false")
	want(!c.NoAck, "no_ack", c.NoAck, "false")
	want(!c.AllowMsgCounter, "allow_msg_counter", c.AllowMsgCounter, "false")
	want(c.PersistMode == jetstream.DefaultPersistMode, "persist_mode", c.PersistMode,
		"default: an acknowledgement must mean that it is stored")
	want(room >= minRoom, "MaxValueSize", c.MaxMsgSize,
		fmt.Sprintf("%d or more, also for the server's max_payload", minRoom+overhead))
	return errors.Join(errs...)
}
