package elections

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/concordkit/concord/election"
	"github.com/concordkit/concord/examples/internal/engines"
	"github.com/concordkit/concord/lock"
)

// play is the same story with terms.
type play struct {
	out      io.Writer
	engine   engines.Engine
	link     *engines.Link // of A
	ledger   ledger
	history  history
	election *election.Election // for one who does not stand, but wants to know who leads
	watch    *election.Watch
	a, b, c  *candidate
	now      turn // of the one that leads
}

// grace is how long processes have to say that they leave when the play breaks off.
const grace = 3 * time.Second

func elected(ctx context.Context, out io.Writer, e engines.Engine) error {
	audience := lock.New(e.Connect(), nil)
	defer audience.Close(ctx)
	p := &play{out: out, engine: e, link: &engines.Link{Backend: e.Connect()}, election: election.New(audience, name, nil)}
	p.ledger.billed.Store(100)
	var err error
	if p.watch, err = p.election.Watch(ctx); err != nil {
		return err
	}
	ctx, breakOff := context.WithCancel(ctx)
	defer p.leave(context.WithoutCancel(ctx))
	defer breakOff()
	for _, scene := range []func(context.Context) error{p.line, p.crash, p.handOver, p.shutdown} {
		if err := scene(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (p *play) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	for _, c := range []*candidate{p.a, p.b, p.c} {
		if c != nil {
			c.leave(ctx)
		}
	}
}

func (p *play) stand(ctx context.Context, b lock.Backend, id string, ttl time.Duration) *candidate {
	c := &candidate{ledger: &p.ledger, history: &p.history}
	c.stand(ctx, b, id, ttl)
	return c
}

func (p *play) say(format string, args ...any) { fmt.Fprintf(p.out, "  "+format+"\n", args...) }
