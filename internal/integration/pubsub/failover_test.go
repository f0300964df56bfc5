package pubsub_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/integration/natsserver"
	"github.com/concordkit/concord/internal/integration/redisserver"
	"github.com/concordkit/concord/pubsub"
	"github.com/concordkit/concord/pubsub/natspubsub"
	"github.com/concordkit/concord/pubsub/redispubsub"
)

// After a failover the subscription is at the new master, and has a gap.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	redisserver.Require(t)
	for name, fail := range map[string]func(r *redisserver.Replicated){
		"killed": func(r *redisserver.Replicated) { r.Master.Kill() },
		"paused": func(r *redisserver.Replicated) { r.Master.Pause() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := sentinelEngine{redisserver.StartReplicated(t)}
			l := listen(t, e, nil)
			p := &publisher{record: record{vague: map[int]bool{}}, name: "p", bus: newBus(t, e.connect(t, nil, ""))}
			settled(t, l, []*publisher{p})
			fail(e.Replicated)
			settled(t, l, []*publisher{p})
			got, gaps := l.so()
			_, err := judge(got, sent([]*publisher{p}))
			require.NoError(t, err)
			require.Positive(t, gaps)
		})
	}
}

// A server that cuts off a subscriber makes a gap, as does a client that mends its connection without a word.
func TestRedisKill(t *testing.T) {
	t.Parallel()
	e := redisEngine{Server: redisserver.Start(t), silence: silence}
	l := listen(t, e, nil)
	p := &publisher{record: record{vague: map[int]bool{}}, name: "p", bus: newBus(t, e.connect(t, nil, ""))}
	settled(t, l, []*publisher{p})
	for want := 1; want <= 5; want++ {
		require.NoError(t, e.Dial(t, nil).ClientKillByFilter(t.Context(), "TYPE", "pubsub").Err())
		settled(t, l, []*publisher{p})
		got, gaps := l.so()
		_, err := judge(got, sent([]*publisher{p}))
		require.NoError(t, err)
		require.Equal(t, want, gaps)
	}
}

// A refusal ends the subscription that was refused, and no other.
func TestRedisRefusal(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t)
	admin := s.Dial(t, nil)
	require.NoError(t, admin.Do(t.Context(), "ACL", "SETUSER", "u", "on", "nopass", "+@all", "resetchannels", "&may", "&a.*").Err())
	e := redisEngine{Server: s, silence: silence, mod: func(o *redis.Options) { o.Username, o.Password = "u", "x" }}
	bus := newBus(t, e.connect(t, nil, ""))
	in := subscribe(t, bus, "may", nil)
	for _, pattern := range []string{"must.not", "*", "b.>"} {
		_, err := bus.Subscribe(t.Context(), pattern, nil)
		require.ErrorContains(t, err, "NOPERM", pattern)
	}
	subscribe(t, bus, "a.>", nil)
	require.ErrorContains(t, bus.Publish(t.Context(), "must.not", pubsub.Message{}), "NOPERM")
	time.Sleep(2 * silence) // its own channel is forbidden, so only pings keep the link
	require.NoError(t, bus.Publish(t.Context(), "may", pubsub.Message{Data: []byte("x")}))
	for m, err := range in.All(t.Context()) {
		require.NoError(t, err, "no gap")
		require.Equal(t, "x", string(m.Data))
		break
	}
}

// What the server refuses is told by Subscribe, and by Flush.
func TestNATSRefusal(t *testing.T) {
	t.Parallel()
	c := natsserver.Start(t, 1, func(o *server.Options) {
		o.NoAuthUser = "u"
		o.Users = []*server.User{{Username: "u", Password: "x", Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: []string{"may", "_INBOX.>", "$JS.>"}},
			Subscribe: &server.SubjectPermission{Allow: []string{"may", "_INBOX.>"}},
		}}}
	})
	bus := newBus(t, natspubsub.NewBus(c.Dial(t), nil))
	_, err := bus.Subscribe(t.Context(), "must.not", nil)
	require.ErrorIs(t, err, nats.ErrPermissionViolation)
	in := subscribe(t, bus, "may", nil)
	for range 2 {
		require.NoError(t, bus.Publish(t.Context(), "must.not", pubsub.Message{}))
		require.ErrorIs(t, bus.Flush(t.Context()), nats.ErrPermissionViolation)
		require.NoError(t, bus.Publish(t.Context(), "may", pubsub.Message{Data: []byte("x")}))
		require.NoError(t, bus.Flush(t.Context()), "it is told once")
	}
	for _, err := range in.All(t.Context()) {
		require.NoError(t, err)
		break
	}
}

// The end of the client ends its subscriptions.
func TestClientCloses(t *testing.T) {
	t.Parallel()
	for name, connect := range map[string]func() (pubsub.BusBackend, func()){
		"redis": func() (pubsub.BusBackend, func()) {
			rdb := redisserver.Start(t).Dial(t, nil)
			return redispubsub.NewBus(rdb, nil), func() { rdb.Close() }
		},
		"nats": func() (pubsub.BusBackend, func()) {
			nc := natsserver.Start(t, 1).Dial(t)
			return natspubsub.NewBus(nc, nil), nc.Close
		},
	} {
		b, end := connect()
		bus := newBus(t, b)
		in := subscribe(t, bus, "t", nil)
		end()
		for _, err := range in.All(t.Context()) {
			require.Error(t, err, name)
			require.NotErrorIs(t, err, pubsub.ErrGap)
		}
		_, err := bus.Subscribe(t.Context(), "t", nil)
		require.Error(t, err, name)
		require.Error(t, bus.Publish(t.Context(), "t", pubsub.Message{}), name)
	}
}
