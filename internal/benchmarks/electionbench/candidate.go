package electionbench

import (
	"context"
	"fmt"
	"time"

	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/concordkit/concord/election"
)

// candidate is a process that stands for elections, simulated by a client of its own.
type candidate struct {
	campaign func(ctx context.Context, election string) (resign func() error, err error)
	close    func()
}

// side makes candidates that use one library on one server.
type side struct {
	name string
	open func(ctx context.Context, id string, ttl time.Duration) (candidate, error)
}

// openAll makes n candidates. The returned func closes them.
func (s side) openAll(ctx context.Context, n int, ttl time.Duration) ([]candidate, func(), error) {
	cs := make([]candidate, 0, n)
	closeAll := func() {
		for _, c := range cs {
			c.close()
		}
	}
	for i := range n {
		c, err := s.open(ctx, fmt.Sprint("candidate-", i), ttl)
		if err != nil {
			closeAll()
			return nil, nil, fmt.Errorf("%s: %w", s.name, err)
		}
		cs = append(cs, c)
	}
	return cs, closeAll, nil
}

// concord is our side on an engine.
func concord(e engine) side {
	return side{"concord on " + e.name, func(ctx context.Context, id string, ttl time.Duration) (candidate, error) {
		locks, closed, err := e.openLocker(ctx, ttl)
		if err != nil {
			return candidate{}, err
		}
		return candidate{
			campaign: func(ctx context.Context, name string) (func() error, error) {
				l, err := election.New(locks, name, &election.Options{ID: id}).Campaign(ctx)
				if err != nil {
					return nil, err
				}
				return l.Resign, nil
			},
			close: closed,
		}, nil
	}}
}

const etcdElection = "concurrency.Election"

// stock is etcd's own Election, whose candidates have a session each before anything is measured.
func (s *servers) stock() side {
	return side{etcdElection, func(_ context.Context, id string, ttl time.Duration) (candidate, error) {
		cli, err := s.etcd.Client(s.theirs.count)
		if err != nil {
			return candidate{}, err
		}
		session, err := concurrency.NewSession(cli, concurrency.WithTTL(int(ttl.Seconds())))
		if err != nil {
			cli.Close()
			return candidate{}, err
		}
		return candidate{
			campaign: func(ctx context.Context, name string) (func() error, error) {
				e := concurrency.NewElection(session, stockPrefix+name)
				if err := e.Campaign(ctx, id); err != nil {
					return nil, err
				}
				return func() error { return e.Resign(context.Background()) }, nil
			},
			close: func() { session.Close(); cli.Close() },
		}, nil
	}}
}

// stockPrefix keeps the peer's elections apart from ours, which would exclude them.
const stockPrefix = "stock/"
