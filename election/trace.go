package election

import (
	"context"
	"errors"
	"log/slog"
	"slices"
)

// Trace observes an [Election]. Every hook may be nil. Hooks run on goroutines of the Election and of its callers. They must
// be quick, since work waits for them, must not panic, and must not resign.
//
// A hook returns what ends it, never nil.
type Trace struct {
	// Campaign is called before a candidate stands for election. The values of the context that it returns go with the
	// requests of the campaign, not with the leader's work; the func that it returns gets the error of the campaign, or nil.
	Campaign func(ctx context.Context, c Candidate) (context.Context, func(error))
	// Lead is called when a leadership begins. The func that it returns gets the cause of its end: ErrResigned, or an
	// error that wraps ErrLost.
	Lead func(ctx context.Context, c Candidate, t Term) func(cause error)
	// Overrun is called when the function of a Run still runs though its leadership has ended 2 % of the TTL ago, at least
	// 10 ms: with the Locker's default margin another leader may have started by then. The func that it returns is called
	// when the function has returned.
	Overrun func(ctx context.Context, c Candidate, t Term) func()
}

// Candidate is whom a [Trace] observes: the name of the election and the ID of who stands for it.
type Candidate struct{ Election, ID string }

func (t *Trace) campaign(ctx context.Context, c Candidate) (context.Context, func(error)) {
	if t == nil || t.Campaign == nil {
		return ctx, func(error) {}
	}
	return t.Campaign(ctx, c)
}

func (t *Trace) lead(ctx context.Context, c Candidate, term Term) func(error) {
	if t == nil || t.Lead == nil {
		return func(error) {}
	}
	return t.Lead(ctx, c, term)
}

func (t *Trace) overruns() bool { return t != nil && t.Overrun != nil }

// JoinTraces returns a Trace that calls the hooks of each of ts in order, and their ends in the reverse order. Nil
// members are left out.
func JoinTraces(ts ...*Trace) *Trace {
	return &Trace{
		Campaign: func(ctx context.Context, c Candidate) (context.Context, func(error)) {
			var ends []func(error)
			for _, t := range ts {
				var end func(error)
				ctx, end = t.campaign(ctx, c)
				ends = append(ends, end)
			}
			return ctx, reverse(ends)
		},
		Lead: func(ctx context.Context, c Candidate, term Term) func(error) {
			var ends []func(error)
			for _, t := range ts {
				ends = append(ends, t.lead(ctx, c, term))
			}
			return reverse(ends)
		},
		Overrun: joinOverruns(ts),
	}
}

// joinOverruns returns nil if none of ts has the hook, since waiting for an overrun takes a goroutine.
func joinOverruns(ts []*Trace) func(context.Context, Candidate, Term) func() {
	if !slices.ContainsFunc(ts, (*Trace).overruns) {
		return nil
	}
	return func(ctx context.Context, c Candidate, term Term) func() {
		var ends []func(error)
		for _, t := range ts {
			if t.overruns() {
				end := t.Overrun(ctx, c, term)
				ends = append(ends, func(error) { end() })
			}
		}
		return func() { reverse(ends)(nil) }
	}
}

func reverse(ends []func(error)) func(error) {
	return func(err error) {
		for i := len(ends) - 1; i >= 0; i-- {
			ends[i](err)
		}
	}
}

// LogTrace returns a Trace that writes to log: an overrun at Error, a lost leadership at Warn, a campaign that failed and
// each other change of leadership at Info, and at Debug what else goes well. Values are not logged.
func LogTrace(log *slog.Logger) *Trace {
	write := func(ctx context.Context, level slog.Level, msg string, c Candidate, err error, attrs ...slog.Attr) {
		attrs = append([]slog.Attr{
			slog.String("component", "election"), slog.String("election", c.Election), slog.String("id", c.ID),
		}, attrs...)
		if err != nil {
			attrs = append(attrs, slog.String("error", err.Error()))
		}
		log.LogAttrs(ctx, level, msg, attrs...)
	}
	return &Trace{
		Campaign: func(ctx context.Context, c Candidate) (context.Context, func(error)) {
			write(ctx, slog.LevelDebug, "election campaign", c, nil)
			return ctx, func(err error) {
				if err != nil {
					write(ctx, slog.LevelInfo, "election campaign failed", c, err)
				}
			}
		},
		Lead: func(ctx context.Context, c Candidate, term Term) func(error) {
			write(ctx, slog.LevelInfo, "election won", c, nil, termAttr(term))
			return func(cause error) {
				if errors.Is(cause, ErrResigned) {
					write(ctx, slog.LevelInfo, "leader resigned", c, nil, termAttr(term))
					return
				}
				write(ctx, slog.LevelWarn, "leadership lost", c, cause, termAttr(term))
			}
		},
		Overrun: func(ctx context.Context, c Candidate, term Term) func() {
			write(ctx, slog.LevelError, "work goes on after its leadership", c, nil, termAttr(term))
			return func() { write(ctx, slog.LevelInfo, "work after its leadership has ended", c, nil, termAttr(term)) }
		},
	}
}

func termAttr(t Term) slog.Attr { return slog.Uint64("term", uint64(t)) }
