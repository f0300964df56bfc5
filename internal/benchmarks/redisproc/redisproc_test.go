package redisproc

import (
	"errors"
	"os"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

func start(t *testing.T) *Server {
	t.Helper()
	s, err := Start(t.Context())
	if errors.Is(err, ErrMissing) {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	return s
}

func TestRequestsCountScriptsOnce(t *testing.T) {
	s := start(t)
	rdb := s.Client()
	defer rdb.Close()
	script := redis.NewScript("redis.call('SET', KEYS[1], '1') redis.call('SET', KEYS[1], '2') return redis.call('GET', KEYS[1])")
	require.NoError(t, script.Run(t.Context(), rdb, []string{"a"}).Err(), "loads the script")
	require.NoError(t, s.ResetStats(t.Context()))
	for range 5 {
		require.NoError(t, script.Run(t.Context(), rdb, []string{"a"}).Err())
	}
	require.NoError(t, rdb.Ping(t.Context()).Err())
	n, err := s.Requests(t.Context())
	require.NoError(t, err)
	require.Equal(t, int64(6), n)
}

func TestRequestsRefuseWhatTheyDoNotKnow(t *testing.T) {
	n, err := countRequests("# Commandstats\r\ncmdstat_evalsha:calls=7,usec=1\r\ncmdstat_set:calls=9,usec=1\r\ncmdstat_info:calls=1,usec=2\r\n")
	require.NoError(t, err)
	require.Equal(t, int64(7), n)
	_, err = countRequests("cmdstat_blpop:calls=7,usec=1\r\n")
	require.ErrorContains(t, err, "blpop")
}

func TestServerTellsOfItself(t *testing.T) {
	s := start(t)
	cpu, err := s.CPU()
	require.NoError(t, err)
	require.Positive(t, cpu)
	version, err := s.Version(t.Context())
	require.NoError(t, err)
	require.Regexp(t, `^\d+\.\d+\.\d+$`, version)
}

func TestStopLeavesNothing(t *testing.T) {
	s, err := Start(t.Context())
	if errors.Is(err, ErrMissing) {
		t.Skip(err)
	}
	require.NoError(t, err)
	s.Stop()
	require.NotNil(t, s.cmd.ProcessState)
	_, err = os.Stat(s.dir)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestStartSaysWhatIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := Start(t.Context())
	require.ErrorIs(t, err, ErrMissing)
}
