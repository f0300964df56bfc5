package elections

import (
	"context"
	"errors"

	"github.com/concordkit/concord/election"
	"github.com/concordkit/concord/lock/fence"
)

// crash cuts A off while it is in the middle of an invoice.
func (p *play) crash(ctx context.Context) error {
	i, goOn := newInvoice(ctx)
	defer goOn()
	p.a.invoices <- i
	if _, err := await(ctx, i.read); err != nil {
		return err
	}
	p.link.Cut()
	p.say("A reads the ledger; before it writes it is paused and cut off")
	a := p.now
	var err error
	if p.now, err = await(ctx, p.b.leads); err != nil {
		return err
	}
	p.say("B leads when A's TTL is over; A's context had ended before: %t", p.now.alone)
	p.say("because the leadership was lost: %t", errors.Is(context.Cause(a.ctx), election.ErrLost))
	p.say("B's term is higher: %t", p.now.later)
	if _, err := await(ctx, p.a.overruns); err != nil {
		return err
	}
	p.say("A's work has not ended, which its trace reports")
	if err := p.shows(ctx, "B"); err != nil {
		return err
	}
	if err := p.bill(ctx, p.b, "B"); err != nil {
		return err
	}
	goOn()
	late, err := await(ctx, i.result)
	if err != nil {
		return err
	}
	p.say("A goes on and writes all the same; refused: %t", errors.Is(late, fence.ErrStale))
	p.say("%d invoices are billed", p.ledger.billed.Load())
	return nil
}
