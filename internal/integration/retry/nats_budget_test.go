package retry_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/integration/natsserver"
	"github.com/concordkit/concord/retry"
	"github.com/concordkit/concord/retry/natsbudget"
)

func TestNATSBucketsWithATTLAreRefused(t *testing.T) {
	t.Parallel()
	s := natsserver.Start(t, 1)
	kv := s.Bucket(t, "short", func(c *jetstream.KeyValueConfig) { c.TTL = time.Minute })
	_, err := natsbudget.New(kv, nil).Take(t.Context(), retry.Bucket{Name: "a", Max: 1}, 1)
	require.ErrorIs(t, err, retry.ErrInvalid)
	require.ErrorContains(t, err, `the key-value bucket "short" has TTL 1m0s: want 0`)
}

func TestNATSValues(t *testing.T) {
	t.Parallel()
	s := natsserver.Start(t, 1)
	kv := s.Bucket(t, kvName, nil)
	b := retry.Bucket{Name: "a b", Max: 10}
	p := natsbudget.New(kv, &natsbudget.Options{Prefix: "retries/"})
	for _, value := range []string{"", "x", "1", "-1 2", "1 -2", "1 2 3", "1e9 1"} {
		_, err := kv.Put(t.Context(), "retries/a=20b", []byte(value))
		require.NoError(t, err)
		_, err = p.Take(t.Context(), b, 1)
		require.ErrorContains(t, err, "corrupt value", "%q", value)
	}
	// A key that somebody has deleted is a full bucket, and its marker is in no one's way.
	require.NoError(t, kv.Delete(t.Context(), "retries/a=20b"))
	got, err := p.Take(t.Context(), b, 4)
	require.NoError(t, err)
	require.Equal(t, 4, got)
	got, err = natsbudget.New(kv, nil).Take(t.Context(), b, 100)
	require.NoError(t, err)
	require.Equal(t, 10, got, "another prefix has buckets of its own")
	got, err = natsbudget.New(kv, &natsbudget.Options{Prefix: "retries/"}).Take(t.Context(), b, 100)
	require.NoError(t, err)
	require.Equal(t, 6, got)
}
