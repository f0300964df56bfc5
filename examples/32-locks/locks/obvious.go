package locks

import (
	"context"
	"fmt"
	"io"
	"time"
)

const (
	key = "example.account-7"
	// poll is how often a worker tries again: the obvious lock has nobody who would tell it.
	poll = 50 * time.Millisecond
)

// obvious is the lock that everybody writes first. Do not copy it.
func obvious(ctx context.Context, out io.Writer, s store) error {
	balance := 100
	take := func(who string) error {
		if err := take(ctx, s, who); err != nil {
			return fmt.Errorf("%s locks: %w", who, err)
		}
		fmt.Fprintf(out, "  %s locks the account and reads %d\n", who, balance)
		return nil
	}
	if err := take("A"); err != nil {
		return err
	}
	read := balance
	fmt.Fprintln(out, "  A is paused for longer than the TTL: a collection, a slow disk, a laptop's lid")
	if err := take("B"); err != nil {
		return err
	}
	fmt.Fprintln(out, "  A goes on, knows nothing, and deletes the lock: it was B's")
	if err := s.Del(ctx, key); err != nil {
		return err
	}
	if err := take("C"); err != nil { // B still believes in its lock
		return err
	}
	balance += 50
	fmt.Fprintf(out, "  C adds 50, the balance is %d; B holds as well and may write at any moment\n", balance)
	balance = read - 10
	fmt.Fprintf(out, "  A writes what it worked out before the pause: %d. C's 50 are lost\n", balance)
	return s.Del(ctx, key)
}

func take(ctx context.Context, s store, who string) error {
	for {
		if ok, err := s.SetNX(ctx, key, who); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(poll):
		}
	}
}
