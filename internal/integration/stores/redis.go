package stores

import (
	"testing"

	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/internal/integration/redisserver"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/redislock"
)

type redisStore struct{ *redisserver.Server }

func anyRedis(t testing.TB) redisStore {
	t.Helper()
	return redisStore{redisserver.StartOrMini(t)}
}

func realRedis(t testing.TB, args ...string) redisStore {
	t.Helper()
	return redisStore{redisserver.Start(t, args...)}
}

// Links implements Store.
func (s redisStore) Links(t testing.TB) faultproxy.Links {
	t.Helper()
	return faultproxy.Links{s.Proxy(t)}
}

// Connect implements Store.
func (s redisStore) Connect(t testing.TB, links faultproxy.Links) lock.Backend {
	t.Helper()
	if len(links) == 0 {
		return redislock.New(s.Dial(t, nil), nil)
	}
	return redislock.New(s.DialThrough(t, links[0], nil), nil)
}

// Crash implements Durable.
func (s redisStore) Crash() { s.Restart() }
