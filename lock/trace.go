package lock

import (
	"context"
	"errors"
	"log/slog"
)

// Trace observes a [Locker]. Every hook may be nil. Hooks run on goroutines of the Locker and of its callers, for
// different claims at the same time. They must be quick, since work waits for them, and must not panic.
//
// A hook that starts something returns what ends it, never nil.
type Trace struct {
	// Acquire is called before a claim is sent. The values of the context that it returns go with the requests of the
	// acquire; the func that it returns gets the error of the acquire, or nil.
	Acquire func(ctx context.Context, c Claim) (context.Context, func(error))
	// Queued is called when a claim has to wait for others, maybe after its acquire has ended.
	Queued func(ctx context.Context, c Claim)
	// Hold is called when a lease begins. The func that it returns gets the cause of its end: ErrReleased, or an
	// error that wraps ErrLost.
	Hold func(ctx context.Context, c Claim) func(cause error)
}

func (t *Trace) acquire(ctx context.Context, c Claim) (context.Context, func(error)) {
	if t == nil || t.Acquire == nil {
		return ctx, func(error) {}
	}
	return t.Acquire(ctx, c)
}

func (t *Trace) queued(ctx context.Context, c Claim) {
	if t != nil && t.Queued != nil {
		t.Queued(ctx, c)
	}
}

func (t *Trace) hold(ctx context.Context, c Claim) func(error) {
	if t == nil || t.Hold == nil {
		return func(error) {}
	}
	return t.Hold(ctx, c)
}

// JoinTraces returns a Trace that calls the hooks of each of ts in order, and their ends in the reverse order. Nil
// members are left out.
func JoinTraces(ts ...*Trace) *Trace {
	return &Trace{
		Acquire: func(ctx context.Context, c Claim) (context.Context, func(error)) {
			var ends []func(error)
			for _, t := range ts {
				var end func(error)
				ctx, end = t.acquire(ctx, c)
				ends = append(ends, end)
			}
			return ctx, reverse(ends)
		},
		Queued: func(ctx context.Context, c Claim) {
			for _, t := range ts {
				t.queued(ctx, c)
			}
		},
		Hold: func(ctx context.Context, c Claim) func(error) {
			var ends []func(error)
			for _, t := range ts {
				ends = append(ends, t.hold(ctx, c))
			}
			return reverse(ends)
		},
	}
}

func reverse(ends []func(error)) func(error) {
	return func(err error) {
		for i := len(ends) - 1; i >= 0; i-- {
			ends[i](err)
		}
	}
}

// LogTrace returns a Trace that writes to log: a lost lease at Warn, a failed acquire at Info, and at Debug what goes
// well. Values of claims are not logged.
func LogTrace(log *slog.Logger) *Trace {
	write := func(ctx context.Context, level slog.Level, msg string, c Claim, err error) {
		attrs := []slog.Attr{slog.String("component", "lock"), slog.String("name", c.Name)}
		if c.Dir != "" {
			attrs = append(attrs, slog.String("dir", c.Dir))
		}
		if err != nil {
			attrs = append(attrs, slog.String("error", err.Error()))
		}
		log.LogAttrs(ctx, level, msg, attrs...)
	}
	return &Trace{
		Acquire: func(ctx context.Context, c Claim) (context.Context, func(error)) {
			return ctx, func(err error) {
				switch {
				case err == nil:
					write(ctx, slog.LevelDebug, "lock acquired", c, nil)
				case errors.Is(err, ErrHeld):
					write(ctx, slog.LevelDebug, "lock held by others", c, nil)
				default:
					write(ctx, slog.LevelInfo, "lock not acquired", c, err)
				}
			}
		},
		Queued: func(ctx context.Context, c Claim) { write(ctx, slog.LevelDebug, "lock waits", c, nil) },
		Hold: func(ctx context.Context, c Claim) func(error) {
			return func(cause error) {
				if errors.Is(cause, ErrReleased) {
					write(ctx, slog.LevelDebug, "lock released", c, nil)
					return
				}
				write(ctx, slog.LevelWarn, "lock lost", c, cause)
			}
		},
	}
}
