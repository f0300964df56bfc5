package elections

import (
	"context"
	"time"
)

// calm is the TTL of those that do not crash here. It is long, so that a turn that begins early was handed over.
const calm = 5 * time.Second

// line has three candidates stand one after the other.
func (p *play) line(ctx context.Context) error {
	var err error
	p.a = p.stand(ctx, p.link, "A", p.engine.TTL)
	if p.now, err = await(ctx, p.a.leads); err != nil {
		return err
	}
	if len(p.a.waits) > 0 {
		<-p.a.waits // for what an earlier run that was broken off had left on the server
	}
	p.b = p.stand(ctx, p.engine.Connect(), "B", calm)
	if _, err := await(ctx, p.b.waits); err != nil {
		return err
	}
	p.c = p.stand(ctx, p.engine.Connect(), "C", calm)
	if _, err := await(ctx, p.c.waits); err != nil {
		return err
	}
	p.say("A, B and C stand for election: A leads, the others wait in line")
	if err := p.shows(ctx, "A"); err != nil {
		return err
	}
	return p.bill(ctx, p.a, "A")
}

// bill has a leader bill one invoice.
func (p *play) bill(ctx context.Context, leader *candidate, id string) error {
	i, goOn := newInvoice(ctx)
	goOn()
	leader.invoices <- i
	failed, err := await(ctx, i.result)
	if err != nil {
		return err
	}
	if failed != nil {
		return failed
	}
	p.say("%s bills an invoice and writes %d, with its term", id, p.ledger.billed.Load())
	return nil
}
