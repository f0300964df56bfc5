package retry_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/retry"
)

func recorder(name string, log *[]string) *retry.Trace {
	note := func(format string, args ...any) { *log = append(*log, name+" "+fmt.Sprintf(format, args...)) }
	return &retry.Trace{
		Attempt: func(ctx context.Context, n int) (context.Context, func(error)) {
			note("attempt %d", n)
			return context.WithValue(ctx, ctxKey{}, n), func(err error) { note("end %d: %v", n, err) }
		},
		Wait: func(_ context.Context, w retry.Wait) {
			note("wait %v after %d: %v %s", w.For, w.Attempt, w.Err, w.Reason)
		},
		Stop: func(_ context.Context, e *retry.Error) { note("stop: %v", e.Stop) },
	}
}

func TestTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log []string
		noEnd := &retry.Trace{Attempt: func(ctx context.Context, _ int) (context.Context, func(error)) { return ctx, nil }}
		p := newPolicy(t, retry.Options{
			Attempts: 2, Jitter: retry.NoJitter, Timeout: time.Second,
			Classify: classify(retry.Verdict{Reason: "why"}),
			Trace:    retry.JoinTraces(recorder("a", &log), nil, new(retry.Trace), noEnd, recorder("b", &log)),
		})
		require.Error(t, p.Do(t.Context(), func(ctx context.Context) error {
			return fmt.Errorf("down %d", ctx.Value(ctxKey{}))
		}))
		require.Equal(t, []string{
			"a attempt 1", "b attempt 1", "b end 1: down 1", "a end 1: down 1",
			"a wait 100ms after 1: down 1 why", "b wait 100ms after 1: down 1 why",
			"a attempt 2", "b attempt 2", "b end 2: down 2", "a end 2: down 2",
			"a stop: out of attempts", "b stop: out of attempts",
		}, log)
	})
}

// Each attempt that began has an end, and marks do not reach hooks.
func TestTraceEnds(t *testing.T) {
	var log []string
	p := newPolicy(t, retry.Options{Trace: recorder("a", &log)})
	require.NoError(t, p.Do(t.Context(), func(context.Context) error { return nil }))
	require.Error(t, p.Do(t.Context(), func(context.Context) error { return retry.Permanent(errDown) }))
	require.Panics(t, func() { _ = p.Do(t.Context(), func(context.Context) error { panic("p") }) })
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, p.Do(ended, func(context.Context) error { return nil }))
	require.Equal(t, []string{
		"a attempt 1", "a end 1: <nil>",
		"a attempt 1", "a end 1: down", "a stop: permanent",
		"a attempt 1", "a end 1: retry: the func did not return: it panicked or ended its goroutine",
		"a stop: context ended",
	}, log)
}

func TestLogTrace(t *testing.T) {
	var out bytes.Buffer
	log := retry.LogTrace(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	log.Stop(t.Context(), &retry.Error{Stop: retry.ContextEnded, Last: errDown, Reason: "503"})
	require.Contains(t, out.String(), `level=INFO msg="gave up" component=retry`)
	require.Contains(t, out.String(), "reason=503")
	log.Hedge(t.Context(), 2)
	require.Contains(t, out.String(), "level=DEBUG msg=hedged component=retry attempt=2")
}
