package fleetbench

import (
	"context"
	"fmt"
	"time"

	"github.com/concordkit/concord/breaker"
	"github.com/concordkit/concord/breaker/fleet"
	"github.com/concordkit/concord/lock"
)

// node is a process.
type node struct {
	locks *lock.Locker
	b     *breaker.Breaker
	m     *fleet.Member
}

// party is a fleet on one engine.
type party struct {
	ns      []*node
	closers []func()
}

// join makes a fleet of n nodes, which is whole when it returns.
func (e engine) join(ctx context.Context, n int, o breaker.Options) (p *party, err error) {
	p = new(party)
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	for range n {
		if err := p.add(ctx, e, o); err != nil {
			return nil, fmt.Errorf("%s: %w", e.name, err)
		}
	}
	return p, p.until(ctx, "see all others", func(n *node) bool { return n.m.Snapshot().Nodes == len(p.ns) })
}

func (p *party) add(ctx context.Context, e engine, o breaker.Options) error {
	backend, closed, err := e.open(ctx)
	if err != nil {
		return err
	}
	p.closers = append(p.closers, closed)
	locks := lock.New(backend, &lock.Options{TTL: ttl})
	b, err := breaker.New("billing", &o)
	if err != nil {
		return err
	}
	m, err := fleet.Join(ctx, locks, b, &fleet.Options{VoteTTL: time.Hour, Node: fmt.Sprint("node ", len(p.ns))})
	if err != nil {
		return err
	}
	p.closers = append(p.closers, func() {
		ctx, stop := context.WithTimeout(context.Background(), patience)
		defer stop()
		m.Leave(ctx) // what it could not release goes with the server
		locks.Close(ctx)
	})
	p.ns = append(p.ns, &node{locks, b, m})
	return nil
}

func (p *party) close() {
	for i := range p.closers {
		p.closers[len(p.closers)-1-i]()
	}
}

// until waits until something holds of all nodes.
func (p *party) until(ctx context.Context, what string, holds func(*node) bool) error {
	end := time.Now().Add(patience)
	for _, n := range p.ns {
		for !holds(n) {
			if time.Now().After(end) {
				return fmt.Errorf("nodes did not %s within %v", what, patience)
			}
			if err := sleep(ctx, time.Millisecond); err != nil {
				return err
			}
		}
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
