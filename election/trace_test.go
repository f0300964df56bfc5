package election_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/election"
	"github.com/concordkit/concord/lock"
)

func TestJoinedTraces(t *testing.T) {
	bubble(t, func(t *testing.T, b *faulty, locks *lock.Locker) {
		var mu sync.Mutex
		var got []string
		note := func(format string, args ...any) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, fmt.Sprintf(format, args...))
		}
		trace := func(name string) *election.Trace {
			return &election.Trace{
				Campaign: func(ctx context.Context, c election.Candidate) (context.Context, func(error)) {
					note("%s campaign %v", name, c)
					return ctx, func(err error) { note("%s campaign ends %v", name, err) }
				},
				Lead: func(_ context.Context, c election.Candidate, t election.Term) func(error) {
					note("%s leads %v %d", name, c, t)
					return func(cause error) { note("%s ends %t", name, cause == election.ErrResigned) }
				},
				Overrun: func(_ context.Context, c election.Candidate, t election.Term) func() {
					note("%s overruns %v %d", name, c, t)
					return func() { note("%s returns", name) }
				},
			}
		}
		e := election.New(locks, "e", &election.Options{
			ID: "n", Trace: election.JoinTraces(trace("1"), nil, &election.Trace{}, trace("2")),
		})
		l, err := e.Campaign(t.Context())
		require.NoError(t, err)
		require.NoError(t, l.Resign())
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		e.Run(ctx, func(ctx context.Context, _ election.Term) error {
			b.set(func() { b.renew = func() error { return errFake } })
			<-ctx.Done()
			time.Sleep(ttl)
			stop()
			return nil
		})
		require.Equal(t, []string{
			"1 campaign {e n}", "2 campaign {e n}", "2 campaign ends <nil>", "1 campaign ends <nil>",
			"1 leads {e n} 1", "2 leads {e n} 1", "2 ends true", "1 ends true",
			"1 campaign {e n}", "2 campaign {e n}", "2 campaign ends <nil>", "1 campaign ends <nil>",
			"1 leads {e n} 2", "2 leads {e n} 2", "2 ends false", "1 ends false",
			"1 overruns {e n} 2", "2 overruns {e n} 2", "2 returns", "1 returns",
		}, got)
	})
}

func TestLogLevels(t *testing.T) {
	bubble(t, func(t *testing.T, b *faulty, locks *lock.Locker) {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
		e := election.New(locks, "e", &election.Options{ID: "n", Value: "secret", Trace: election.LogTrace(log)})
		failed := false
		b.acquire = func(lock.Claim) error {
			if failed = !failed; failed {
				return errFake
			}
			return nil
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		e.Run(ctx, func(ctx context.Context, _ election.Term) error {
			b.set(func() { b.renew = func() error { return errFake } })
			<-ctx.Done()
			time.Sleep(ttl)
			stop()
			return nil
		})
		for _, want := range []string{
			"level=DEBUG msg=\"election campaign\" component=election election=e id=n\n",
			"level=INFO msg=\"election campaign failed\" component=election election=e id=n error=",
			"level=INFO msg=\"election won\" component=election election=e id=n term=1\n",
			"level=WARN msg=\"leadership lost\" component=election election=e id=n term=1 error=",
			"level=ERROR msg=\"work goes on after its leadership\" component=election election=e id=n term=1\n",
			"level=INFO msg=\"work after its leadership has ended\" component=election election=e id=n term=1\n",
		} {
			require.Equal(t, 1+strings.Count(want, "DEBUG"), strings.Count(out.String(), want), "%s in\n%s", want, &out)
		}
		require.NotContains(t, out.String(), "secret")
	})
}
