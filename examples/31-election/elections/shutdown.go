package elections

import (
	"context"
	"errors"

	"github.com/concordkit/concord/election"
)

// shutdown ends C in the middle of an invoice, and then the others.
func (p *play) shutdown(ctx context.Context) error {
	i, goOn := newInvoice(ctx)
	defer goOn()
	p.c.invoices <- i
	if _, err := await(ctx, i.read); err != nil {
		return err
	}
	p.c.stop()
	if _, err := await(ctx, p.now.ctx.Done()); err != nil {
		return err
	}
	p.say("C is told to stop in the middle of an invoice, and its context ends")
	leader, err := p.election.Leader(ctx)
	if err != nil {
		return err
	}
	p.say("its function goes on, so C still leads: %t", leader.ID == "C" && len(p.a.leads) == 0)
	p.say("and Run has not returned: %t", len(p.c.returned) == 0)
	goOn()
	if refused, err := await(ctx, i.result); err != nil || refused != nil {
		return errors.Join(err, refused)
	}
	p.say("C writes %d, which nobody refuses, and its function returns", p.ledger.billed.Load())
	ended, err := await(ctx, p.c.returned)
	if err != nil {
		return err
	}
	p.say("Run returns that its context has ended: %t", errors.Is(ended, context.Canceled))
	if p.now, err = await(ctx, p.a.leads); err != nil {
		return err
	}
	p.say("A leads once more; C's context had ended before: %t; A's term is higher: %t", p.now.alone, p.now.later)
	for _, c := range []*candidate{p.b, p.a, p.c} { // B before A, or it would lead for a moment
		if err := c.leave(ctx); err != nil {
			return err
		}
	}
	_, err = p.election.Leader(ctx)
	p.say("all leave; nobody leads: %t", errors.Is(err, election.ErrNoLeader))
	return nil
}
