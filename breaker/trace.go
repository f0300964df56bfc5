package breaker

import (
	"context"
	"log/slog"
)

// Trace observes a breaker. Every hook may be nil. Hooks must be quick, since calls wait for them, and must not panic; they
// hold no lock, so they may call any method.
type Trace struct {
	// Transition is called after each change of state, in order, by one goroutine at a time: one whose call changed
	// the state, or for ProbeTimeout that of a timer. Others that change it meanwhile do not wait.
	Transition func(t Transition)
	// Refuse is called when a call is refused, on the caller's goroutine. The context is that of Do, for Allow it is empty.
	Refuse func(ctx context.Context, e *OpenError)
}

func (t *Trace) transition(tr Transition) {
	if t != nil && t.Transition != nil {
		t.Transition(tr)
	}
}

func (t *Trace) refuse(ctx context.Context, e *OpenError) {
	if t != nil && t.Refuse != nil {
		t.Refuse(ctx, e)
	}
}

// JoinTraces returns a Trace that calls the hooks of each of ts in order. Nil members are left out.
func JoinTraces(ts ...*Trace) *Trace {
	return &Trace{
		Transition: func(tr Transition) {
			for _, t := range ts {
				t.transition(tr)
			}
		},
		Refuse: func(ctx context.Context, e *OpenError) {
			for _, t := range ts {
				t.refuse(ctx, e)
			}
		},
	}
}

// LogTrace returns a Trace that writes to log: that a breaker opened at Warn, other changes at Info, and refused calls at
// Debug.
func LogTrace(log *slog.Logger) *Trace {
	return &Trace{
		Transition: func(t Transition) {
			level := slog.LevelInfo
			attrs := []slog.Attr{
				slog.String("component", "breaker"), slog.String("name", t.Name),
				slog.String("from", t.From.String()), slog.String("to", t.To.String()), slog.String("cause", t.Cause.String()),
			}
			if t.Reason != "" {
				attrs = append(attrs, slog.String("reason", t.Reason))
			}
			if t.To == Open || t.To == ForcedOpen {
				level = slog.LevelWarn
			}
			if t.To == Open {
				attrs = append(attrs, slog.Duration("open_for", t.OpenFor))
			}
			log.LogAttrs(context.Background(), level, "breaker "+t.To.String(), attrs...)
		},
		Refuse: func(ctx context.Context, e *OpenError) {
			log.LogAttrs(ctx, slog.LevelDebug, "breaker refused a call", slog.String("component", "breaker"),
				slog.String("name", e.Name), slog.String("state", e.State.String()))
		},
	}
}
