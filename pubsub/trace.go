package pubsub

import (
	"context"
	"log/slog"
	"slices"
)

// Trace observes a [Bus] or a [Queue]. Every hook may be nil. Hooks run on the goroutines of callers, at the same time. They must be quick,
// since work waits for them, and must not panic.
type Trace struct {
	// Publish is called before messages are handed over. It may replace the Header of ms, which is a copy, by another one. The
	// values of the context that it returns go with the request; the func that it returns gets the error, or nil.
	Publish func(ctx context.Context, topic string, ms []Message) (context.Context, func(error))
	// Gap is called when a loop is about to get a gap.
	Gap func(e *GapError)
	// Handle is called before a handler. The context that it returns is that of the handler; the func that it returns gets the
	// error, or nil.
	Handle func(ctx context.Context, d *Delivery) (context.Context, func(error))
	// Dead is called when a message has become a dead letter; where answers of the engine were lost, maybe by two consumers.
	Dead func(d DeadLetter)
}

func (t *Trace) publish(ctx context.Context, topic string, ms *[]Message) (context.Context, func(error)) {
	if t == nil || t.Publish == nil {
		return ctx, func(error) {}
	}
	*ms = slices.Clone(*ms)
	return t.Publish(ctx, topic, *ms)
}

func (t *Trace) gap(e *GapError) {
	if t != nil && t.Gap != nil {
		t.Gap(e)
	}
}

func (t *Trace) handle(ctx context.Context, d *Delivery) (context.Context, func(error)) {
	if t == nil || t.Handle == nil {
		return ctx, func(error) {}
	}
	return t.Handle(ctx, d)
}

func (t *Trace) dead(d DeadLetter) {
	if t != nil && t.Dead != nil {
		t.Dead(d)
	}
}

// JoinTraces returns a Trace that calls the hooks of each of ts in order, and their ends in the reverse order. Nil members are left
// out.
func JoinTraces(ts ...*Trace) *Trace {
	return &Trace{
		Publish: func(ctx context.Context, topic string, ms []Message) (context.Context, func(error)) {
			var ends []func(error)
			for _, t := range ts {
				if t != nil && t.Publish != nil {
					var end func(error)
					ctx, end = t.Publish(ctx, topic, ms)
					ends = append(ends, end)
				}
			}
			return ctx, reversed(ends)
		},
		Gap: func(e *GapError) {
			for _, t := range ts {
				t.gap(e)
			}
		},
		Handle: func(ctx context.Context, d *Delivery) (context.Context, func(error)) {
			var ends []func(error)
			for _, t := range ts {
				var end func(error)
				ctx, end = t.handle(ctx, d)
				ends = append(ends, end)
			}
			return ctx, reversed(ends)
		},
		Dead: func(d DeadLetter) {
			for _, t := range ts {
				t.dead(d)
			}
		},
	}
}

func reversed(ends []func(error)) func(error) {
	return func(err error) {
		for _, end := range slices.Backward(ends) {
			end(err)
		}
	}
}

// LogTrace returns a Trace that writes to log: gaps and dead letters at Warn, what could not be published or handled at Info. What
// messages carry is not logged.
func LogTrace(log *slog.Logger) *Trace {
	return &Trace{
		Publish: func(ctx context.Context, topic string, ms []Message) (context.Context, func(error)) {
			return ctx, func(err error) {
				if err != nil {
					log.LogAttrs(ctx, slog.LevelInfo, "publish failed", slog.String("component", "pubsub"),
						slog.String("topic", topic), slog.Int("messages", len(ms)), slog.String("error", err.Error()))
				}
			}
		},
		Gap: func(e *GapError) {
			log.LogAttrs(context.Background(), slog.LevelWarn, "gap", slog.String("component", "pubsub"),
				slog.String("pattern", e.Pattern), slog.Int("dropped", e.Dropped), slog.String("error", e.Error()))
		},
		Handle: func(ctx context.Context, d *Delivery) (context.Context, func(error)) {
			return ctx, func(err error) {
				if err != nil {
					log.LogAttrs(ctx, slog.LevelInfo, "handler failed", slog.String("component", "pubsub"),
						slog.String("topic", d.Topic), slog.String("group", d.Group), slog.String("id", d.ID),
						slog.Int("attempt", d.Attempt), slog.String("error", err.Error()))
				}
			}
		},
		Dead: func(d DeadLetter) {
			log.LogAttrs(context.Background(), slog.LevelWarn, "dead letter", slog.String("component", "pubsub"),
				slog.String("topic", d.Topic), slog.String("group", d.Group), slog.String("id", d.ID),
				slog.Int("attempts", d.Attempts), slog.String("error", d.Error))
		},
	}
}
