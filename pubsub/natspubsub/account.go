package natspubsub

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/concordkit/concord/pubsub"
)

// account is how the connection was before the first message that is not flushed.
type account struct {
	open       bool
	reconnects uint64
	last       error
	broken     error // an error of the client that may have cost what it had buffered
}

// open opens the account.
func (b *Bus) open() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.account.open {
		return
	}
	b.account.open, b.account.reconnects, b.account.last = true, b.nc.Stats().Reconnects, b.nc.LastError()
	b.opened.Store(true)
}

// flush closes the account, and settles it and those before it by a round trip.
func (b *Bus) flush(ctx context.Context) error {
	b.turn.Lock()
	own := b.account
	b.account = account{}
	b.opened.Store(false)
	b.flights = append(b.flights, &own)
	var all account
	for _, a := range b.flights {
		all = all.and(*a)
	}
	b.turn.Unlock()
	err := b.ping(ctx)
	lost := all.lost(b.nc)
	b.turn.Lock()
	defer b.turn.Unlock()
	b.flights = slices.DeleteFunc(b.flights, func(a *account) bool { return a == &own })
	switch {
	case lost != nil:
		return fmt.Errorf("natspubsub: %w", lost)
	case err != nil: // the next one settles it
		b.account = own.and(b.account)
		b.opened.Store(b.account.open)
	}
	return err
}

// and returns the account of both; a is the older one.
func (a account) and(later account) account {
	if a.broken == nil {
		a.broken = later.broken
	}
	if !a.open {
		a.open, a.reconnects, a.last = later.open, later.reconnects, later.last
	}
	return a
}

// lost returns what may have cost messages, or nil.
func (a account) lost(nc *nats.Conn) error {
	if a.broken != nil || !a.open {
		return a.broken
	}
	if nc.Stats().Reconnects != a.reconnects {
		return pubsub.ErrDisconnected
	}
	last := nc.LastError()
	if last == nil || last == a.last {
		return nil
	}
	if _, ok := errors.AsType[*net.OpError](last); ok {
		return last
	}
	if errors.Is(last, nats.ErrPermissionViolation) && strings.Contains(last.Error(), "Publish to ") {
		return last
	}
	return nil
}
