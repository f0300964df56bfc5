package etcdlock

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concordkit/concord/lock"
)

// maxOps is what a server allows in a transaction by default.
const maxOps = 128

// errUnproven reports a keep-alive that a leader answered which has led no more.
var errUnproven = errors.New("the leader has changed since the keep-alive")

// seat is a place and where its state goes.
type seat struct {
	*place
	state *lock.State
}

// Renew implements lock.Backend: a keep-alive for each session, and reads that prove it and tell who is still there.
func (b *Backend) Renew(ctx context.Context, cs []lock.Claim) ([]lock.State, error) {
	for _, c := range cs {
		if err := b.check(c); err != nil {
			return nil, err
		}
	}
	start := time.Now()
	states := make([]lock.State, len(cs))
	var first error
	for s, seats := range b.seats(cs, states) {
		if err := b.renew(ctx, s, seats); err != nil && first == nil {
			first = fail("renew", seats[0].claim, err)
		}
		age := b.age(s, start)
		for _, t := range seats {
			t.state.Age = age
		}
		b.bringHome(ctx, s)
	}
	return states, first
}

// seats groups the claims by session; those that have none are Gone.
func (b *Backend) seats(cs []lock.Claim, states []lock.State) map[*session][]seat {
	by := make(map[*session][]seat)
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, c := range cs {
		p := b.places[c.ID]
		switch {
		case p == nil || p.released || p.session != nil && p.session.dead:
			states[i].Phase = lock.Gone
		case p.rev > 0: // else its acquire is not answered
			by[p.session] = append(by[p.session], seat{p, &states[i]})
		}
	}
	return by
}

func (b *Backend) renew(ctx context.Context, s *session, seats []seat) error {
	bt, err := b.keep(ctx, s)
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		b.bury(s)
		for _, t := range seats {
			t.state.Phase = lock.Gone
			b.heed(t)
		}
		return nil
	}
	if err != nil {
		return err
	}
	for some := range slices.Chunk(seats, maxOps) {
		if err := b.look(ctx, s, bt, some); err != nil {
			return err
		}
	}
	return nil
}

// look reads where the claims stand: of a holder whether it is there, of a waiter who is before it.
func (b *Backend) look(ctx context.Context, s *session, bt *beat, seats []seat) error {
	r, err := b.cli.Txn(ctx).Then(b.reads(seats)...).Commit()
	if err != nil {
		return err
	}
	if !b.prove(s, bt, r.Header.RaftTerm) {
		return errUnproven
	}
	for i, t := range seats {
		line, err := decodeLine(t.line, r.Responses[i].GetResponseRange().Kvs)
		if err != nil {
			return err
		}
		*t.state = b.stand(t.place, line, r.Header.Revision)
		b.heed(t)
	}
	return nil
}

func (b *Backend) reads(seats []seat) []clientv3.Op {
	b.mu.Lock()
	defer b.mu.Unlock()
	ops := make([]clientv3.Op, len(seats))
	for i, t := range seats {
		if t.held {
			ops[i] = clientv3.OpGet(t.key, clientv3.WithKeysOnly())
		} else {
			ops[i] = clientv3.OpGet(t.line, clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithMaxCreateRev(t.rev))
		}
	}
	return ops
}

// heed forgets a claim that is not there, and sees to it that a waiter is told.
func (b *Backend) heed(t seat) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch t.state.Phase {
	case lock.Gone:
		b.drop(t.place)
	case lock.Queued:
		b.follow(t.place)
	}
}

// maxHome is how many stranded claims one renewal releases; the next one goes on.
const maxHome = 16

// bringHome releases claims that could not be released before.
func (b *Backend) bringHome(ctx context.Context, s *session) {
	b.mu.Lock()
	orphans := slices.Collect(maps.Keys(s.orphans))
	b.mu.Unlock()
	for _, p := range orphans[:min(len(orphans), maxHome)] {
		if _, err := b.remove(ctx, p); err != nil {
			return
		}
	}
}
