package containers

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

const patience = 30 * time.Second

// soon bounds a request that is not expected to be answered.
const soon = time.Second

func TestRedis(t *testing.T) {
	r := StartRedis(t)
	rdb := r.Dial(t, func(o *redis.Options) {
		o.ReadTimeout, o.MaxRetries = soon, -1
	})
	require.NoError(t, rdb.Set(t.Context(), "a", "1", 0).Err())
	r.Pause(t)
	var timeout net.Error
	require.ErrorAs(t, rdb.Incr(t.Context(), "a").Err(), &timeout)
	require.True(t, timeout.Timeout())
	r.Resume(t)
	require.Eventually(t, func() bool { return rdb.Get(t.Context(), "a").Val() == "2" }, patience, tick,
		"what arrived in the pause is served after it")
}

func TestNATS(t *testing.T) {
	n := StartNATS(t)
	js, err := jetstream.New(n.Dial(t))
	require.NoError(t, err)
	s, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"a"}})
	require.NoError(t, err)
	publish := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), soon)
		defer cancel()
		_, err := js.Publish(ctx, "a", []byte("x"))
		return err
	}
	require.NoError(t, publish())
	n.Pause(t)
	require.ErrorIs(t, publish(), context.DeadlineExceeded)
	n.Resume(t)
	require.Eventually(t, func() bool {
		m, err := s.GetMsg(t.Context(), 2)
		return err == nil && string(m.Data) == "x"
	}, patience, tick, "what arrived in the pause is served after it")
}

func TestLoopbackOnly(t *testing.T) {
	r := StartRedis(t)
	info, err := r.c.Inspect(t.Context())
	require.NoError(t, err)
	for port, bindings := range info.NetworkSettings.Ports {
		for _, b := range bindings {
			require.Equal(t, "127.0.0.1", b.HostIP.String(), "port %s of a server without a password", port)
		}
	}
}

func TestPauseEndsWithTest(t *testing.T) {
	r := StartRedis(t)
	t.Run("pause", func(t *testing.T) { r.Pause(t) })
	require.NoError(t, r.Dial(t, nil).Ping(t.Context()).Err())
}
