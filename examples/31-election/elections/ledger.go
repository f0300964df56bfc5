package elections

import (
	"context"
	"sync/atomic"

	"github.com/concordkit/concord/election"
	"github.com/concordkit/concord/lock/fence"
)

// ledger is the resource: how many invoices are billed. Its guard remembers the highest term and refuses lower ones.
type ledger struct {
	guard  fence.Guard
	billed atomic.Int64
}

// bill reads the ledger and writes to it, as the leader of a term. Whoever writes cannot know whether it still leads when the
// write arrives, however late it has looked at its context. The ledger can.
func (l *ledger) bill(t election.Term, i *invoice) error {
	billed := l.billed.Load()
	close(i.read)
	<-i.paused.Done()
	return l.guard.Do("ledger", t, func() error {
		l.billed.Store(billed + 1)
		return nil
	})
}

// invoice is a piece of work for a leader.
type invoice struct {
	read   chan struct{}   // closed when the leader has read the ledger
	paused context.Context // until its end the leader does not get further: a slow disk, a collection, a laptop's lid
	result chan error
}

// newInvoice returns an invoice that is paused until goOn is called, or ctx ends.
func newInvoice(ctx context.Context) (i *invoice, goOn func()) {
	paused, goOn := context.WithCancel(ctx)
	return &invoice{make(chan struct{}), paused, make(chan error, 1)}, goOn
}
