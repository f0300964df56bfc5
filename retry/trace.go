package retry

import (
	"context"
	"log/slog"
	"slices"
	"time"
)

// Trace observes a policy or a hedger. Every hook may be nil. Hooks run on the goroutine that makes the attempt. They must be
// quick, since work waits for them, and must not panic.
type Trace struct {
	// Attempt is called before attempt n, 1 for the first. The context that it returns is that of the attempt; the func,
	// which may be nil, gets the error of the attempt, or nil.
	Attempt func(ctx context.Context, n int) (context.Context, func(error))
	// Wait is called when there will be another attempt, before the wait for it, which may be 0.
	Wait func(ctx context.Context, w Wait)
	// Stop is called when the policy gives up.
	Stop func(ctx context.Context, e *Error)
	// Hedge is called when a [Hedger] is about to begin attempt n, at least 2, on the goroutine of that attempt.
	Hedge func(ctx context.Context, n int)
}

// Wait is the time between two attempts.
type Wait struct {
	Attempt int           // the number of the one that failed
	For     time.Duration // how long
	Err     error         // of that attempt
	Reason  string        // what the verdict about Err gave
}

func (t *Trace) attempt(ctx context.Context, n int) (context.Context, func(error)) {
	if t == nil || t.Attempt == nil {
		return ctx, nil
	}
	return t.Attempt(ctx, n)
}

func (t *Trace) wait(ctx context.Context, w Wait) {
	if t != nil && t.Wait != nil {
		t.Wait(ctx, w)
	}
}

func (t *Trace) stop(ctx context.Context, e *Error) {
	if t != nil && t.Stop != nil {
		t.Stop(ctx, e)
	}
}

func (t *Trace) hedge(ctx context.Context, n int) {
	if t != nil && t.Hedge != nil {
		t.Hedge(ctx, n)
	}
}

// JoinTraces returns a Trace that calls the hooks of each of ts in order, and their ends in the reverse order. Nil members
// are left out.
func JoinTraces(ts ...*Trace) *Trace {
	return &Trace{
		Attempt: func(ctx context.Context, n int) (context.Context, func(error)) {
			var ends []func(error)
			for _, t := range ts {
				var end func(error)
				if ctx, end = t.attempt(ctx, n); end != nil {
					ends = append(ends, end)
				}
			}
			return ctx, func(err error) {
				for _, end := range slices.Backward(ends) {
					end(err)
				}
			}
		},
		Wait: func(ctx context.Context, w Wait) {
			for _, t := range ts {
				t.wait(ctx, w)
			}
		},
		Stop: func(ctx context.Context, e *Error) {
			for _, t := range ts {
				t.stop(ctx, e)
			}
		},
		Hedge: func(ctx context.Context, n int) {
			for _, t := range ts {
				t.hedge(ctx, n)
			}
		},
	}
}

// LogTrace returns a Trace that writes to log: that a policy gave up at Warn, or at Info where the caller's context had
// ended; waits and hedges at Debug. Attempts are not logged.
func LogTrace(log *slog.Logger) *Trace {
	component := slog.String("component", "retry")
	return &Trace{
		Wait: func(ctx context.Context, w Wait) {
			attrs := []slog.Attr{component, slog.Int("attempt", w.Attempt), slog.Duration("wait", w.For), slog.Any("error", w.Err)}
			log.LogAttrs(ctx, slog.LevelDebug, "attempt failed", withReason(attrs, w.Reason)...)
		},
		Stop: func(ctx context.Context, e *Error) {
			level := slog.LevelWarn
			if e.Stop == ContextEnded {
				level = slog.LevelInfo
			}
			attrs := []slog.Attr{
				component, slog.Int("attempts", e.Attempts), slog.Duration("elapsed", e.Elapsed),
				slog.String("stop", e.Stop.String()), slog.Any("error", e.Last),
			}
			log.LogAttrs(ctx, level, "gave up", withReason(attrs, e.Reason)...)
		},
		Hedge: func(ctx context.Context, n int) {
			log.LogAttrs(ctx, slog.LevelDebug, "hedged", component, slog.Int("attempt", n))
		},
	}
}

func withReason(attrs []slog.Attr, reason string) []slog.Attr {
	if reason == "" {
		return attrs
	}
	return append(attrs, slog.String("reason", reason))
}
