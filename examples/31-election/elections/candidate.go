package elections

import (
	"context"
	"time"

	"github.com/concordkit/concord/election"
	"github.com/concordkit/concord/lock"
)

// name is that of the election, among all who use the same engine.
const name = "example-billing"

// candidate is a process that stands for election, and bills while it leads.
type candidate struct {
	ledger  *ledger
	history *history
	stop    context.CancelFunc
	locks   *lock.Locker

	waits, overruns chan struct{} // it stands in line; it works on though others may lead
	leads           chan turn
	invoices        chan *invoice // what there is to do
	enough          chan struct{} // it shall hand over
	returned        chan error    // what Run returned
}

// stand has a process with a connection of its own stand for election until stop is called.
func (c *candidate) stand(ctx context.Context, b lock.Backend, id string, ttl time.Duration) {
	c.waits, c.overruns, c.enough = make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1)
	c.leads, c.invoices, c.returned = make(chan turn, 1), make(chan *invoice, 1), make(chan error, 1)
	c.locks = lock.New(b, &lock.Options{Trace: &lock.Trace{
		Queued: func(context.Context, lock.Claim) { tell(c.waits) },
	}})
	e := election.New(c.locks, name, &election.Options{
		ID:    id,
		Value: id + ".example:8000", // where the others find the leader
		TTL:   ttl,
		Trace: &election.Trace{Overrun: func(context.Context, election.Candidate, election.Term) func() {
			tell(c.overruns)
			return func() {}
		}},
	})
	ctx, c.stop = context.WithCancel(ctx)
	go func() {
		c.returned <- e.Run(ctx, c.work)
		close(c.returned)
	}()
}

// work is called whenever the candidate leads. It looks at its context between one invoice and the next.
func (c *candidate) work(ctx context.Context, t election.Term) error {
	c.leads <- c.history.begin(ctx, t)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.enough:
			return nil // hands over, and stands for election again
		case i := <-c.invoices:
			err := c.ledger.bill(t, i)
			if i.result <- err; err != nil {
				return err // Run ends with it, unless the leadership is lost: then it stands again
			}
		}
	}
}

// leave ends a process: first what it does, then what holds its place.
func (c *candidate) leave(ctx context.Context) error {
	c.stop()
	<-c.returned
	return c.locks.Close(ctx)
}

// tell does not block, since hooks call it.
func tell(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
