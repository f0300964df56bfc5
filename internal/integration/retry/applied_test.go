package retry_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concordkit/concord/internal/integration/etcdserver"
	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/internal/integration/natsserver"
	"github.com/concordkit/concord/internal/integration/redisserver"
	"github.com/concordkit/concord/retry"
	"github.com/concordkit/concord/retry/etcdretry"
	"github.com/concordkit/concord/retry/natsretry"
	"github.com/concordkit/concord/retry/redisretry"
)

// work is something that is done once for each number, on a server under faults.
type work struct {
	links    faultproxy.Links
	do       func(ctx context.Context, n int) error
	done     func(ctx context.Context, n int) (bool, error) // by a link without faults
	crash    func()                                         // ends the server and starts it again with its data
	classify retry.Classifier
}

// outcome is an error of a piece of work, and what was made of it.
type outcome struct {
	n       int
	err     error
	verdict retry.Verdict
}

// What is said to be not applied must never have been. The run must also contain answers that were lost, or it proves
// nothing: a classifier that says it of everything has to be found out by the same check.
func (w work) check(t *testing.T, workers int, patience time.Duration) {
	var mu sync.Mutex
	var failed []outcome
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for i := range workers {
		wg.Go(func() {
			for n := i; ; n += workers {
				select {
				case <-stop:
					return
				default:
				}
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				err := w.do(ctx, n)
				cancel()
				if err != nil {
					mu.Lock()
					failed = append(failed, outcome{n, err, w.classify(err)})
					mu.Unlock()
					time.Sleep(time.Millisecond) // a refusal is quick
				}
			}
		})
	}
	w.harm()
	close(stop)
	wg.Wait()
	time.Sleep(patience) // for what is still on its way
	w.judge(t, failed)
}

// harm goes through all faults.
func (w work) harm() {
	pause := func() { time.Sleep(150 * time.Millisecond) }
	for range 2 {
		for _, f := range []faultproxy.Faults{
			{BlackholeDown: true}, {BlackholeUp: true}, {Refuse: true}, {Latency: 30 * time.Millisecond}, {Chunk: 3},
		} {
			pause()
			w.links.Set(f)
			pause()
			w.links.ResetAll()
			pause()
			w.links.Heal()
		}
		w.crash()
	}
	pause()
}

func (w work) judge(t *testing.T, failed []outcome) {
	counts, errs := map[string]int{}, map[string]string{}
	lost, sure := 0, 0
	for _, o := range failed {
		done := false
		require.Eventually(t, func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			var err error
			done, err = w.done(ctx, o.n)
			return err == nil
		}, 30*time.Second, 10*time.Millisecond, "the server must come back")
		if done {
			lost++
		}
		if o.verdict.Applied == retry.NotApplied {
			sure++
			require.False(t, done, "said to be not applied, and was: %v", o.err)
		}
		kind := fmt.Sprintf("%v/%v %s", o.verdict.Decision, o.verdict.Applied, o.verdict.Reason)
		counts[kind]++
		errs[kind] = o.err.Error()
	}
	for kind, n := range counts {
		t.Logf("%5d %s: %.120s", n, kind, errs[kind])
	}
	require.Positive(t, sure, "nothing was said to be not applied")
	require.Positive(t, lost, "no answer was lost, so the check finds nothing")
}

func TestRedisNotAppliedIsTrue(t *testing.T) {
	t.Parallel()
	// Loading takes long enough to be met.
	s := redisserver.Start(t, "--appendonly", "yes", "--appendfsync", "always", "--key-load-delay", "200",
		"--loading-process-events-interval-bytes", "1024")
	direct, link := s.Dial(t, nil), s.Proxy(t)
	for i := range 2000 {
		require.NoError(t, direct.Set(t.Context(), fmt.Sprint("ballast", i), i, 0).Err())
	}
	rdb := s.DialThrough(t, link, func(o *redis.Options) {
		o.MaxRetries, o.ContextTimeoutEnabled = -1, true
		o.PoolSize, o.PoolTimeout, o.ReadTimeout = 3, 20*time.Millisecond, 200*time.Millisecond
		o.DialerRetries = 1
	})
	work{
		links: faultproxy.Links{link},
		do:    func(ctx context.Context, n int) error { return rdb.Incr(ctx, fmt.Sprint("n", n)).Err() },
		done: func(ctx context.Context, n int) (bool, error) {
			found, err := direct.Exists(ctx, fmt.Sprint("n", n)).Result()
			return found > 0, err
		},
		crash:    s.Restart,
		classify: redisretry.ClassifySingle,
	}.check(t, 6, 300*time.Millisecond)
}

func TestEtcdNotAppliedIsTrue(t *testing.T) {
	t.Parallel()
	s := etcdserver.Start(t, 1)
	links := s.Links(t)
	cli := s.DialThrough(t, links, func(c *clientv3.Config) { c.MaxUnaryRetries = 1 })
	direct := s.Dial(t)
	work{
		links: links,
		do: func(ctx context.Context, n int) error {
			var o []clientv3.OpOption
			if n%3 == 0 {
				o = append(o, clientv3.WithLease(42)) // which does not exist
			}
			_, err := cli.Put(ctx, fmt.Sprint("n", n), "", o...)
			return err
		},
		done: func(ctx context.Context, n int) (bool, error) {
			r, err := direct.Get(ctx, fmt.Sprint("n", n))
			return err == nil && r.Count > 0, err
		},
		crash:    func() { s.Restart(0) },
		classify: etcdretry.Classify,
	}.check(t, 4, 300*time.Millisecond)
}

func TestNATSNotAppliedIsTrue(t *testing.T) {
	t.Parallel()
	for name, buffer := range map[string]int{"buffered": nats.DefaultReconnectBufSize, "unbuffered": -1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := natsserver.Start(t, 1)
			direct := s.Bucket(t, kvName, nil)
			links := s.Links(t)
			kv := keyValue(t, s.DialThrough(t, links, func(o *nats.Options) { o.ReconnectBufSize = buffer }))
			work{
				links: links,
				do: func(ctx context.Context, n int) error {
					var revision uint64
					if n%3 == 0 {
						revision = 1 << 40 // which is not the last
					}
					_, err := kv.Update(ctx, fmt.Sprint("n", n), nil, revision)
					return err
				},
				done: func(ctx context.Context, n int) (bool, error) {
					_, err := direct.Get(ctx, fmt.Sprint("n", n))
					if natsretry.Classify(err).Reason == natsretry.Classify(jetstream.ErrKeyNotFound).Reason {
						return false, nil
					}
					return err == nil, err
				},
				crash:    func() { s.Restart(0) },
				classify: natsretry.Classify,
			}.check(t, 4, 300*time.Millisecond)
		})
	}
}
