package members

import (
	"context"
	"log/slog"
	"time"

	"github.com/concordkit/concord/ring"
)

// Trace observes members and followers. Every hook may be nil. Hooks run on goroutines of the package, which wait for them:
// they must be quick, must not panic, and must not call a Member.
type Trace struct {
	// Lost is called when a member's lease has ended without Leave, and for each try to join again that fails.
	Lost func(set string, n ring.Node, cause error)
	// Rejoined is called when it has joined again.
	Rejoined func(set string, n ring.Node)
	// Held is called when members that vanished begin to be held back: how many, of how many that were active within the hold
	// time.
	Held func(set string, kept, active int, hold time.Duration)
	// Blind is called when a follower cannot learn who the members are. It tries again.
	Blind func(set string, err error)
	// Refused is called for a member whose value is no node, which is left out, and for a set that the ring refuses.
	Refused func(set string, err error)
}

func (t *Trace) lost(set string, n ring.Node, cause error) {
	if t != nil && t.Lost != nil {
		t.Lost(set, n, cause)
	}
}

func (t *Trace) rejoined(set string, n ring.Node) {
	if t != nil && t.Rejoined != nil {
		t.Rejoined(set, n)
	}
}

func (t *Trace) held(set string, kept, active int, hold time.Duration) {
	if t != nil && t.Held != nil {
		t.Held(set, kept, active, hold)
	}
}

func (t *Trace) blind(set string, err error) {
	if t != nil && t.Blind != nil {
		t.Blind(set, err)
	}
}

func (t *Trace) refused(set string, err error) {
	if t != nil && t.Refused != nil {
		t.Refused(set, err)
	}
}

// LogTrace returns a Trace that writes to log: what goes wrong at Warn, a member that has joined again at Info.
func LogTrace(log *slog.Logger) *Trace {
	write := func(level slog.Level, msg, set string, attrs ...slog.Attr) {
		attrs = append([]slog.Attr{slog.String("component", "members"), slog.String("set", set)}, attrs...)
		log.LogAttrs(context.Background(), level, msg, attrs...)
	}
	node := func(n ring.Node) slog.Attr { return slog.String("node", n.ID) }
	reason := func(err error) slog.Attr { return slog.String("error", err.Error()) }
	return &Trace{
		Lost: func(set string, n ring.Node, cause error) {
			write(slog.LevelWarn, "membership lost", set, node(n), reason(cause))
		},
		Rejoined: func(set string, n ring.Node) { write(slog.LevelInfo, "membership regained", set, node(n)) },
		Held: func(set string, kept, active int, hold time.Duration) {
			write(slog.LevelWarn, "members held back", set, slog.Int("kept", kept), slog.Int("active", active),
				slog.Duration("hold", hold))
		},
		Blind:   func(set string, err error) { write(slog.LevelWarn, "members unknown", set, reason(err)) },
		Refused: func(set string, err error) { write(slog.LevelWarn, "members refused", set, reason(err)) },
	}
}
