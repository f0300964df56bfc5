package retry_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/internal/integration/redisserver"
	"github.com/concordkit/concord/retry"
	"github.com/concordkit/concord/retry/redisretry"
)

// counts increments a counter for each number under faults, by a client with options o, and returns how many of those calls
// succeeded, and how many counters were incremented how often.
func counts(t *testing.T, o *retry.Options) (succeeded int, byValue map[int]int) {
	s := redisserver.StartOrMini(t)
	link := s.Proxy(t)
	rdb := s.DialThrough(t, link, func(o *redis.Options) {
		o.MaxRetries, o.ContextTimeoutEnabled, o.ReadTimeout, o.DialerRetries = -1, true, 100*time.Millisecond, 1
	})
	require.NoError(t, redisretry.AddTo(rdb, o))
	var mu sync.Mutex
	var tried []string
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for i := range 4 {
		wg.Go(func() {
			for n := i; ; n += 4 {
				select {
				case <-stop:
					return
				default:
				}
				key := fmt.Sprint("n", n)
				err := rdb.Incr(t.Context(), key).Err()
				mu.Lock()
				tried = append(tried, key)
				if err == nil {
					succeeded++
				}
				mu.Unlock()
				time.Sleep(time.Millisecond)
			}
		})
	}
	for range 3 {
		for _, f := range []faultproxy.Faults{{BlackholeDown: true}, {BlackholeUp: true}, {Refuse: true}} {
			time.Sleep(100 * time.Millisecond)
			link.Set(f)
			time.Sleep(150 * time.Millisecond)
			link.ResetAll()
			time.Sleep(50 * time.Millisecond)
			link.Heal()
		}
	}
	close(stop)
	wg.Wait()
	direct := s.Dial(t, nil)
	byValue = map[int]int{}
	for _, key := range tried {
		n, err := direct.Get(t.Context(), key).Int()
		require.True(t, err == nil || errors.Is(err, redis.Nil), "%v", err)
		byValue[n]++
	}
	t.Logf("%d of %d succeeded; by value: %v", succeeded, len(tried), byValue)
	return succeeded, byValue
}

func TestRedisUnsafeCommandsAreDoneOnce(t *testing.T) {
	t.Parallel()
	o := &retry.Options{Attempts: 20, Delay: 10 * time.Millisecond, MaxDelay: 20 * time.Millisecond, Unsafe: true}
	succeeded, byValue := counts(t, o)
	require.GreaterOrEqual(t, byValue[1], succeeded)
	for n := range byValue {
		require.LessOrEqual(t, n, 1, "a counter was incremented twice")
	}
}

// The control of the test above, and what commands that may be done twice get.
func TestRedisSafeCommandsAreRepeated(t *testing.T) {
	t.Parallel()
	o := &retry.Options{Attempts: 20, Delay: 10 * time.Millisecond, MaxDelay: 20 * time.Millisecond}
	succeeded, byValue := counts(t, o)
	require.Zero(t, byValue[0], "all get through in the end")
	require.Less(t, byValue[1], succeeded, "the faults must make some be done twice")
}

// What callers of go-redis rely on is the same with the hook.
func TestRedisHookKeepsAnswers(t *testing.T) {
	t.Parallel()
	s := redisserver.StartOrMini(t)
	rdb := s.Dial(t, func(o *redis.Options) { o.MaxRetries = -1 })
	require.NoError(t, redisretry.AddTo(rdb, nil))
	ctx := t.Context()
	require.Equal(t, redis.Nil, rdb.Get(ctx, "none").Err())
	n, err := redis.NewScript("return 7").Run(ctx, rdb, nil).Int()
	require.NoError(t, err, "a script that is not loaded is sent")
	require.Equal(t, 7, n)
	require.NoError(t, rdb.Watch(ctx, func(tx *redis.Tx) error {
		_, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.Set(ctx, "a", "1", 0)
			return nil
		})
		return err
	}, "a"))
	err = rdb.Watch(ctx, func(tx *redis.Tx) error {
		require.NoError(t, rdb.Set(ctx, "a", "2", 0).Err())
		_, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.Set(ctx, "a", "3", 0)
			return nil
		})
		return err
	}, "a")
	require.Equal(t, redis.TxFailedErr, err)
	require.Equal(t, retry.NotApplied, redisretry.ClassifySingle(err).Applied)
	require.Equal(t, "2", rdb.Get(ctx, "a").Val())
	err = rdb.LPush(ctx, "a", "x").Err()
	require.Equal(t, retry.Stop, redisretry.ClassifySingle(err).Decision)
	require.Equal(t, "WRONGTYPE", redisretry.ClassifySingle(err).Reason)
}

// A script that fails in the middle has written: no error of it may be said to be not applied.
func TestRedisScriptsFailInTheMiddle(t *testing.T) {
	t.Parallel()
	s := redisserver.StartOrMini(t)
	rdb := s.Dial(t, nil)
	ctx := t.Context()
	require.NoError(t, rdb.Set(ctx, "text", "x", 0).Err())
	err := rdb.Eval(ctx, "redis.call('INCR', KEYS[1]); redis.call('LPUSH', KEYS[2], '1')", []string{"n", "text"}).Err()
	require.Error(t, err)
	require.Equal(t, "1", rdb.Get(ctx, "n").Val())
	require.NotEqual(t, retry.NotApplied, redisretry.ClassifySingle(err).Applied, "%v", err)
}

func TestRedisRefusesBeforeItRuns(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t)
	admin := s.Dial(t, nil)
	rdb := s.Dial(t, func(o *redis.Options) { o.MaxRetries = -1 })
	ctx := t.Context()
	require.NoError(t, admin.Do(ctx, "ACL", "SETUSER", "app", "on", ">secret", "~*", "+get").Err())
	app := s.Dial(t, func(o *redis.Options) { o.MaxRetries, o.Username, o.Password = -1, "app", "secret" })
	for want, refuse := range map[string]func() error{
		"OOM": func() error {
			defer admin.ConfigSet(ctx, "maxmemory", "0")
			require.NoError(t, admin.ConfigSet(ctx, "maxmemory", "1").Err())
			return rdb.Incr(ctx, "n").Err()
		},
		"NOREPLICAS": func() error {
			defer admin.ConfigSet(ctx, "min-replicas-to-write", "0")
			require.NoError(t, admin.ConfigSet(ctx, "min-replicas-to-write", "1").Err())
			return rdb.Incr(ctx, "n").Err()
		},
		"READONLY": func() error {
			defer admin.ReplicaOf(ctx, "NO", "ONE")
			require.NoError(t, admin.ReplicaOf(ctx, "127.0.0.1", "1").Err())
			return rdb.Incr(ctx, "n").Err()
		},
		"BUSY": func() error {
			require.NoError(t, admin.ConfigSet(ctx, "busy-reply-threshold", "10").Err())
			ended := make(chan error, 1)
			long := s.Dial(t, func(o *redis.Options) { o.ReadTimeout = 30 * time.Second })
			go func() { ended <- long.Eval(context.WithoutCancel(ctx), "while true do end", nil).Err() }()
			require.Eventually(t, func() bool {
				return redisretry.ClassifySingle(rdb.Get(ctx, "n").Err()).Reason == "BUSY"
			}, 10*time.Second, time.Millisecond)
			err := rdb.Incr(ctx, "n").Err()
			require.Eventually(t, func() bool { return admin.ScriptKill(ctx).Err() == nil }, 10*time.Second, 10*time.Millisecond)
			require.Error(t, <-ended)
			return err
		},
		"NOPERM": func() error { return app.Incr(ctx, "n").Err() },
	} {
		err := refuse()
		v := redisretry.ClassifySingle(err)
		require.Equal(t, want, v.Reason, "%v", err)
		require.Equal(t, retry.NotApplied, v.Applied, "%v", err)
		require.Equal(t, redis.Nil, admin.Get(ctx, "n").Err(), "%s was applied", want)
	}
}
