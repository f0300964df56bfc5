package fleet

import (
	"context"
	"log/slog"
	"time"
)

// Trace observes a member. Every hook may be nil. Hooks run on goroutines of the member, which wait for them: they must be
// quick, must not panic, and must not call the member.
type Trace struct {
	// Opened is called when the member has heard that the fleet is open, and for each further period.
	Opened func(s Snapshot)
	// Closed is called when it has heard that the fleet has closed, or has not heard of it for too long.
	Closed func(s Snapshot)
	// Blind is called when something of the store's has failed: a watch, a lease or its renewal. It is tried again.
	Blind func(fleet string, err error)
	// Refused is called for what somebody else has put into the fleet's directory. It is left out.
	Refused func(fleet string, err error)
}

func (t *Trace) opened(s Snapshot) {
	if t != nil && t.Opened != nil {
		t.Opened(s)
	}
}

func (t *Trace) closed(s Snapshot) {
	if t != nil && t.Closed != nil {
		t.Closed(s)
	}
}

func (t *Trace) blind(fleet string, err error) {
	if t != nil && t.Blind != nil {
		t.Blind(fleet, err)
	}
}

func (t *Trace) refused(fleet string, err error) {
	if t != nil && t.Refused != nil {
		t.Refused(fleet, err)
	}
}

// JoinTraces returns a Trace that calls the hooks of each of ts in order. Nil members are left out.
func JoinTraces(ts ...*Trace) *Trace {
	return &Trace{
		Opened: func(s Snapshot) {
			for _, t := range ts {
				t.opened(s)
			}
		},
		Closed: func(s Snapshot) {
			for _, t := range ts {
				t.closed(s)
			}
		},
		Blind: func(fleet string, err error) {
			for _, t := range ts {
				t.blind(fleet, err)
			}
		},
		Refused: func(fleet string, err error) {
			for _, t := range ts {
				t.refused(fleet, err)
			}
		},
	}
}

// LogTrace returns a Trace that writes to log: that the fleet has opened and what goes wrong at Warn, that it has closed at
// Info.
func LogTrace(log *slog.Logger) *Trace {
	write := func(level slog.Level, msg, fleet string, attrs ...slog.Attr) {
		attrs = append([]slog.Attr{slog.String("component", "fleet"), slog.String("fleet", fleet)}, attrs...)
		log.LogAttrs(context.Background(), level, msg, attrs...)
	}
	return &Trace{
		Opened: func(s Snapshot) {
			write(slog.LevelWarn, "fleet open", s.Fleet, slog.Uint64("generation", s.Generation), slog.Int("period", s.Period),
				slog.String("by", s.By), slog.String("reason", s.Reason), slog.Duration("for", s.OpenFor.Round(time.Millisecond)))
		},
		Closed: func(s Snapshot) {
			write(slog.LevelInfo, "fleet closed", s.Fleet, slog.Uint64("generation", s.Generation), slog.Bool("blind", s.Blind))
		},
		Blind: func(fleet string, err error) {
			write(slog.LevelWarn, "fleet out of reach", fleet, slog.String("error", err.Error()))
		},
		Refused: func(fleet string, err error) {
			write(slog.LevelWarn, "foreign data in the fleet", fleet, slog.String("error", err.Error()))
		},
	}
}
