package natslock

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/lock"
)

func TestClientsThatCannotServe(t *testing.T) {
	js, err := jetstream.New(new(nats.Conn))
	require.NoError(t, err)
	for want, b := range map[string]*Backend{
		"nil client":      New(nil, "locks"),
		`bucket "a.b"`:    New(js, "a.b"),
		`bucket "":`:      New(js, ""),
		`bucket "lö": wa`: New(js, "lö"),
	} {
		_, err := lock.New(b, nil).Acquire(t.Context(), "a")
		require.ErrorIs(t, err, lock.ErrInvalid)
		require.ErrorContains(t, err, want)
		c := lock.Claim{Name: "a", ID: "id", Weight: 1, Capacity: 1}
		_, err = b.Acquire(t.Context(), c, nil)
		require.ErrorIs(t, err, lock.ErrInvalid)
		_, err = b.Renew(t.Context(), []lock.Claim{c})
		require.ErrorIs(t, err, lock.ErrInvalid)
		_, err = b.Release(t.Context(), c)
		require.ErrorIs(t, err, lock.ErrInvalid)
		_, err = b.SetValue(t.Context(), c)
		require.ErrorIs(t, err, lock.ErrInvalid)
		require.ErrorIs(t, b.Watch(t.Context(), "d", lock.MinTTL, nil), lock.ErrInvalid)
	}
}

func TestOtherDomains(t *testing.T) {
	js, err := jetstream.NewWithDomain(new(nats.Conn), "leaf")
	require.NoError(t, err)
	b := New(js, "locks")
	require.NoError(t, b.err)
	require.Equal(t, "$JS.leaf.API.", b.api)
	require.Equal(t, "$JS.leaf.API.$KV.locks.", b.publishRoot)
	require.Equal(t, "$KV.locks.", b.root)
	js, err = jetstream.New(new(nats.Conn))
	require.NoError(t, err)
	require.Equal(t, "$KV.locks.", New(js, "locks").publishRoot)
}

func good() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: "KV_locks", Subjects: []string{"$KV.locks.>"}, MaxMsgsPerSubject: 1, MaxMsgs: -1, MaxBytes: -1, MaxMsgSize: -1,
		Storage: jetstream.FileStorage, Replicas: 3, AllowDirect: true, AllowRollup: true, DenyDelete: true,
		Discard: jetstream.DiscardNew, AllowMsgTTL: true, SubjectDeleteMarkerTTL: limitMarkerTTL,
	}
}

func TestBucketsThatCannotServe(t *testing.T) {
	b := &Backend{bucket: "locks", root: "$KV.locks."}
	require.NoError(t, b.checkConfig(good(), maxValue))
	for want, mod := range map[string]func(*jetstream.StreamConfig){
		"subjects [orders.>]":       func(c *jetstream.StreamConfig) { c.Subjects = []string{"orders.>"} },
		"allow_msg_ttl false":       func(c *jetstream.StreamConfig) { c.AllowMsgTTL = false },
		"LimitMarkerTTL 0s":         func(c *jetstream.StreamConfig) { c.SubjectDeleteMarkerTTL = 0 },
		"TTL 1m0s":                  func(c *jetstream.StreamConfig) { c.MaxAge = time.Minute },
		"History 5":                 func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 5 },
		"allow_direct false":        func(c *jetstream.StreamConfig) { c.AllowDirect = false },
		"allow_rollup_hdrs false":   func(c *jetstream.StreamConfig) { c.AllowRollup = false },
		"discard policy DiscardOld": func(c *jetstream.StreamConfig) { c.Discard, c.MaxBytes = jetstream.DiscardOld, 1<<20 },
		"retention Interest":        func(c *jetstream.StreamConfig) { c.Retention = jetstream.InterestPolicy },
		"mirror true":               func(c *jetstream.StreamConfig) { c.Mirror = new(jetstream.StreamSource) },
		"sources 1":                 func(c *jetstream.StreamConfig) { c.Sources = make([]*jetstream.StreamSource, 1) },
		"subject transform":         func(c *jetstream.StreamConfig) { c.SubjectTransform = new(jetstream.SubjectTransformConfig) },
		"sealed true":               func(c *jetstream.StreamConfig) { c.Sealed = true },
		"no_ack true":               func(c *jetstream.StreamConfig) { c.NoAck = true },
		"allow_msg_counter true":    func(c *jetstream.StreamConfig) { c.AllowMsgCounter = true },
		"persist_mode":              func(c *jetstream.StreamConfig) { c.PersistMode = jetstream.AsyncPersistMode },
	} {
		c := good()
		mod(&c)
		err := b.checkConfig(c, maxValue)
		require.ErrorIs(t, err, lock.ErrInvalid, want)
		require.ErrorContains(t, err, `bucket "locks" has `+want)
	}
	require.ErrorContains(t, b.checkConfig(good(), 100), "MaxValueSize")
}

func TestGuaranteeFollowsTheBucket(t *testing.T) {
	c := good()
	require.Equal(t, lock.Consensus, guarantee(c))
	c.Replicas = 1
	require.Equal(t, lock.SingleNode, guarantee(c))
	c.Storage = jetstream.MemoryStorage
	require.Equal(t, lock.Process, guarantee(c))
}

func TestErrorsSayWhatIsKnown(t *testing.T) {
	c := lock.Claim{Name: "a"}
	require.NoError(t, fail("release", c, nil))
	for _, open := range []error{context.DeadlineExceeded, nats.ErrDisconnected, nats.ErrConnectionClosed, nats.ErrTimeout} {
		err := fail("release", c, sent(open))
		require.ErrorIs(t, err, lock.ErrUnknownOutcome)
		require.ErrorIs(t, err, open)
		require.ErrorContains(t, err, `natslock: release "a": `)
	}
	for _, refused := range []error{nats.ErrReconnectBufExceeded, nats.ErrConnectionDraining, nats.ErrMaxPayload} {
		err := fail("acquire", c, sent(refused))
		require.NotErrorIs(t, err, lock.ErrUnknownOutcome)
		require.ErrorIs(t, err, refused)
	}
	err := fail("acquire", c, refusal{&jetstream.APIError{ErrorCode: 10077, Description: "maximum bytes exceeded"}})
	require.False(t, errors.Is(err, lock.ErrUnknownOutcome), "what the server refuses is not stored")
	require.True(t, moved(&jetstream.APIError{ErrorCode: 10071}))
	require.True(t, moved(&jetstream.APIError{ErrorCode: 10164}))
	require.False(t, moved(&jetstream.APIError{ErrorCode: 10077}))
}
