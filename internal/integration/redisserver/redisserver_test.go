package redisserver

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/concordkit/concord/internal/integration/faultproxy"
)

const (
	patience = 30 * time.Second
	tick     = 10 * time.Millisecond
)

func TestMain(m *testing.M) {
	Report()
	goleak.VerifyTestMain(m)
}

// hasty makes a client give up soon, and once.
func hasty(o *redis.Options) {
	o.ReadTimeout = 200 * time.Millisecond
	o.DialTimeout = o.ReadTimeout
	o.MaxRetries = -1
	o.DialerRetries = 1
}

func answers(rdb *redis.Client) func() bool {
	return func() bool { return rdb.Ping(context.Background()).Err() == nil }
}

func requireTimeout(t *testing.T, err error) {
	t.Helper()
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout(), "%v", err)
}

func TestStart(t *testing.T) {
	s := Start(t)
	require.Nil(t, s.Mini())
	require.Contains(t, s.Log(), "ready to accept connections")
	rdb := s.Dial(t, nil)
	require.NoError(t, rdb.Set(t.Context(), "a", "1", 0).Err())

	t.Run("parallel", func(t *testing.T) {
		other := Start(t, "--maxmemory", "64mb")
		rdb := other.Dial(t, nil)
		require.Zero(t, rdb.Exists(t.Context(), "a").Val(), "every server has data of its own")
		require.Equal(t, "67108864", rdb.ConfigGet(t.Context(), "maxmemory").Val()["maxmemory"])
	})
	require.Equal(t, "1", rdb.Get(t.Context(), "a").Val())
}

func TestProxy(t *testing.T) {
	s := StartOrMini(t)
	broken, whole := s.Proxy(t), s.Proxy(t)
	a, b := s.DialThrough(t, broken, hasty), s.DialThrough(t, whole, nil)
	require.NoError(t, a.Ping(t.Context()).Err())
	broken.Set(faultproxy.Faults{BlackholeDown: true})
	requireTimeout(t, a.Incr(t.Context(), "n").Err())
	require.NoError(t, b.Ping(t.Context()).Err(), "every link breaks alone")
	require.Equal(t, "1", b.Get(t.Context(), "n").Val(), "only the reply was lost")
	broken.Heal()
	require.Eventually(t, answers(a), patience, tick)
}

func TestPause(t *testing.T) {
	s := Start(t)
	rdb := s.DialThrough(t, s.Proxy(t), hasty)
	require.NoError(t, rdb.Ping(t.Context()).Err())
	s.Pause()
	requireTimeout(t, rdb.Ping(t.Context()).Err())
	s.Resume()
	require.Eventually(t, answers(rdb), patience, tick)
}

func TestKill(t *testing.T) {
	s := Start(t)
	direct, through := s.Dial(t, hasty), s.DialThrough(t, s.Proxy(t), hasty)
	require.NoError(t, direct.Set(t.Context(), "a", "1", 0).Err())
	require.NoError(t, through.Ping(t.Context()).Err())
	s.Pause()
	s.Kill()
	s.Kill()
	require.Error(t, direct.Ping(t.Context()).Err())
	require.Error(t, through.Ping(t.Context()).Err())
	s.Restart()
	require.Eventually(t, answers(direct), patience, tick)
	require.Eventually(t, answers(through), patience, tick)
	require.Zero(t, direct.Exists(t.Context(), "a").Val(), "nothing is kept on disk")
}

func TestRestartKeepsFiles(t *testing.T) {
	s := Start(t, "--appendonly", "yes", "--appendfsync", "always")
	rdb := s.Dial(t, hasty)
	require.NoError(t, rdb.Set(t.Context(), "a", "1", 0).Err())
	s.Restart()
	require.Eventually(t, answers(rdb), patience, tick)
	require.Equal(t, "1", rdb.Get(t.Context(), "a").Val())
}

func TestMini(t *testing.T) {
	s := StartMini(t)
	require.NotNil(t, s.Mini())
	require.Empty(t, s.Log())
	rdb := s.Dial(t, nil)
	require.NoError(t, rdb.Set(t.Context(), "a", "1", time.Hour).Err())
	noon := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	s.Mini().SetTime(noon)
	require.True(t, noon.Equal(rdb.Time(t.Context()).Val()))
	require.EqualValues(t, 1, rdb.Exists(t.Context(), "a").Val(), "a TTL is relative")

	require.NoError(t, rdb.Set(t.Context(), "b", "1", 50*time.Millisecond).Err())
	require.Eventually(t, func() bool { return rdb.Exists(t.Context(), "b").Val() == 0 }, patience, tick,
		"keys expire as time goes by")
}

func TestMiniRunsScripts(t *testing.T) {
	rdb := StartMini(t).Dial(t, nil)
	const script = `redis.call('SET', KEYS[1], '1', 'PX', ARGV[1]); return redis.call('PTTL', KEYS[1])`
	time.Sleep(50 * time.Millisecond) // what a key must not lose that did not exist yet
	require.EqualValues(t, 20, rdb.Eval(t.Context(), script, []string{"a"}, 20).Val())
	require.Eventually(t, func() bool { return rdb.Exists(t.Context(), "a").Val() == 0 }, patience, tick)
}
