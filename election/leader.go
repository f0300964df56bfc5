package election

import (
	"context"
	"fmt"

	"github.com/concordkit/concord/lock"
)

// Leader is who leads an election. The zero value is nobody.
type Leader struct {
	// ID and Value are those of the candidate's Options, the value as it was set last.
	ID, Value string
	// Term is at least 1 where somebody leads.
	Term Term
}

// Leader returns who leads, or [ErrNoLeader]. What it returns may have changed by then. Who asks often uses
// [Election.Watch]. Other errors are those of [lock.Locker.Watch].
func (e *Election) Leader(ctx context.Context) (Leader, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	w, err := e.Watch(ctx)
	if err != nil {
		return Leader{}, err
	}
	now := w.Leader()
	if now.Term == 0 {
		return now, fmt.Errorf("%w in %q", ErrNoLeader, e.name)
	}
	return now, nil
}

// leaderOf finds the leader among the holders of an election's directory. Others may have put claims with names there.
func leaderOf(hs []lock.Holder) (now Leader) {
	for _, h := range hs {
		if h.Name == "" && h.Token > now.Term {
			now.Term = h.Token
			now.ID, now.Value = decode(h.Value)
		}
	}
	return now
}
