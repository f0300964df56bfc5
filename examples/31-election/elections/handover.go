package elections

import (
	"context"
	"time"
)

// handOver brings A back, and has B hand over to C, who came before.
func (p *play) handOver(ctx context.Context) error {
	p.link.Heal()
	if _, err := await(ctx, p.a.waits); err != nil {
		return err
	}
	p.say("A's link heals, and it stands for election again, behind C")
	start := time.Now()
	p.b.enough <- struct{}{}
	var err error
	if p.now, err = await(ctx, p.c.leads); err != nil {
		return err
	}
	p.say("B has led enough, its function returns: Run resigns and stands for election again, behind A")
	p.say("C leads at once, not when B's TTL would be over: %t", time.Since(start) < calm/2)
	p.say("B's context had ended before: %t; C's term is higher: %t", p.now.alone, p.now.later)
	return p.bill(ctx, p.c, "C")
}
