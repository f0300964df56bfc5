package redislock

import (
	"context"
	"errors"
	"net/url"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/lock"
)

func TestClientsThatCannotServe(t *testing.T) {
	var none *redis.Client
	for want, rdb := range map[string]redis.UniversalClient{
		"nil client":         nil,
		"nil client ":        none,
		"redis.Ring spreads": redis.NewRing(&redis.RingOptions{}),
	} {
		b := New(rdb, nil)
		_, err := lock.New(b, nil).Acquire(t.Context(), "a")
		require.ErrorIs(t, err, lock.ErrInvalid, want)
		c := lock.Claim{Name: "a", ID: "id"}
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

func TestKeysAreToldApart(t *testing.T) {
	a := New(redis.NewClient(&redis.Options{}), &Options{Prefix: "x"})
	b := New(redis.NewClient(&redis.Options{}), &Options{Prefix: "xn:{"})
	require.Equal(t, []string{"xn:{a%3Ab%7B%7D}"}, a.keys(lock.Claim{Name: "a:b{}"}))
	require.Equal(t, []string{"xd:{a+b}"}, a.keys(lock.Claim{Dir: "a b", Name: "n"}))
	require.NotEqual(t, a.keys(lock.Claim{Name: "n:{a}"}), b.keys(lock.Claim{Name: "a}"}))
	require.Equal(t, "concord:lock:d:{d}", New(redis.NewClient(&redis.Options{}), nil).dirKey("d"))
}

func FuzzKeys(f *testing.F) {
	f.Add("a", "b")
	f.Add("{a}", "a")
	f.Add("a:b", "a%3Ab")
	b := New(redis.NewClient(&redis.Options{}), nil)
	f.Fuzz(func(t *testing.T, one, two string) {
		k1, k2 := b.keys(lock.Claim{Name: one})[0], b.keys(lock.Claim{Name: two})[0]
		if (k1 == k2) != (one == two) {
			t.Fatalf("%q and %q have the keys %q and %q", one, two, k1, k2)
		}
		name := k1[len("concord:lock:n:{") : len(k1)-1]
		if got, err := url.QueryUnescape(name); err != nil || got != one {
			t.Fatalf("%q is kept as %q", one, k1)
		}
	})
}

func TestErrorsSayWhatIsKnown(t *testing.T) {
	c := lock.Claim{Name: "a"}
	require.NoError(t, fail("release", c, nil))
	err := fail("release", c, context.DeadlineExceeded)
	require.ErrorIs(t, err, lock.ErrUnknownOutcome)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, `redislock: release "a": `)
	err = fail("acquire", c, replyError("WRONGTYPE Operation against a key"))
	require.ErrorIs(t, err, lock.ErrCorrupt)
	require.NotErrorIs(t, err, lock.ErrUnknownOutcome)
	err = fail("acquire", c, replyError("ERR Error running script (call to f_1): @user_script: 15: WRONGTYPE Operation"))
	require.ErrorIs(t, err, lock.ErrCorrupt, "Redis 6 wraps")
	err = fail("acquire", c, replyError("ERR user_script:24: CORRUPT data in concord:lock:n:{a}"))
	require.ErrorIs(t, err, lock.ErrCorrupt)
	err = fail("acquire", c, replyError("NOPERM this user has no permissions"))
	require.False(t, errors.Is(err, lock.ErrUnknownOutcome) || errors.Is(err, lock.ErrCorrupt), "a refused user is certain")
	err = fail("acquire", c, replyError("NOREPLICAS Not enough good replicas to write"))
	require.ErrorIs(t, err, lock.ErrUnknownOutcome, "a refusal may answer a repetition, after a try that was applied")
}

type replyError string

func (e replyError) Error() string { return string(e) }
func (e replyError) RedisError()   {}
