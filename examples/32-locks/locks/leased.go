package locks

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/concordkit/concord/examples/internal/engines"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/fence"
)

// account is the resource. Its guard remembers the highest token and refuses lower ones.
type account struct {
	guard   fence.Guard
	balance int
}

func (a *account) write(lease *lock.Lease, balance int) error {
	return a.guard.Do("account-7", lease.Token(), func() error {
		a.balance = balance
		return nil
	})
}

// leased is the same story with leases.
func leased(ctx context.Context, out io.Writer, e engines.Engine) error {
	link := &engines.Link{Backend: e.Connect()}
	workerA := lock.New(link, &lock.Options{TTL: e.TTL})
	workerB := lock.New(e.Connect(), &lock.Options{TTL: e.TTL})
	defer workerA.Close(ctx)
	defer workerB.Close(ctx)

	acct := account{balance: 100}
	a, err := workerA.Acquire(ctx, "account-7")
	if err != nil {
		return err
	}
	read := acct.balance
	fmt.Fprintf(out, "  A holds the account and reads %d; the lease renews itself\n", read)

	link.Cut()
	fmt.Fprintln(out, "  A is cut off, B waits in line")
	b, err := workerB.Acquire(ctx, "account-7")
	if err != nil {
		return err
	}
	if a.Context().Err() == nil {
		return errors.New("worker A was not told before B holds")
	}
	fmt.Fprintln(out, "  A's context has ended before B holds:", errors.Is(context.Cause(a.Context()), lock.ErrLost))
	fmt.Fprintln(out, "  B's token is higher than A's:", b.Token() > a.Token())

	if err := acct.write(b, acct.balance+50); err != nil {
		return err
	}
	fmt.Fprintf(out, "  B adds 50, the balance is %d\n", acct.balance)
	late := acct.write(a, read-10)
	fmt.Fprintln(out, "  A does not look at its context and writes all the same; refused:", errors.Is(late, fence.ErrStale))
	fmt.Fprintln(out, "  A's release says that the lease was lost:", errors.Is(a.Release(), lock.ErrLost))
	link.Heal()
	_, err = workerA.TryAcquire(ctx, "account-7")
	fmt.Fprintln(out, "  and B holds on:", errors.Is(err, lock.ErrHeld) && b.Context().Err() == nil)
	fmt.Fprintf(out, "  the balance is %d\n", acct.balance)
	return b.Release()
}
