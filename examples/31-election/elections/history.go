package elections

import (
	"context"
	"sync"

	"github.com/concordkit/concord/election"
)

// turn is one time that a candidate leads.
type turn struct {
	ctx   context.Context
	term  election.Term
	alone bool // the context of the turn before had ended when this one began
	later bool // its term is higher than that of the turn before
}

// history compares each turn with the one before, at the instant when it begins.
type history struct {
	mu   sync.Mutex
	last turn
}

func (h *history) begin(ctx context.Context, t election.Term) turn {
	h.mu.Lock()
	defer h.mu.Unlock()
	before := h.last
	h.last = turn{
		ctx:   ctx,
		term:  t,
		alone: before.ctx == nil || before.ctx.Err() != nil,
		later: t > before.term,
	}
	return h.last
}
