package etcdlock

import (
	"context"
	"errors"
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
	ctx = clientv3.WithRequireLeader(ctx)
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
		b.clear(s)
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
	bt, _, err := b.keep(ctx, s)
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		b.end(s)
		b.apply(seats, nil)
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

// look reads where the claims stand: of a holder whether it is there, of a waiter its line.
func (b *Backend) look(ctx context.Context, s *session, bt *beat, seats []seat) error {
	which, ops := b.reads(seats)
	r, err := read(ctx, seats[0].claim.TTL/tries, func(ctx context.Context) (*clientv3.TxnResponse, error) {
		return b.cli.Txn(ctx).Then(ops...).Commit()
	})
	if err != nil {
		return err
	}
	if !b.prove(s, bt, r.Header.RaftTerm) {
		return errUnproven
	}
	lines := make([]*line, len(ops))
	for i, t := range seats {
		if n := which[i]; lines[n] == nil {
			if lines[n], err = decodeLine(t.line, r.Responses[n].GetResponseRange().Kvs, r.Header.Revision); err != nil {
				return err
			}
		}
	}
	b.apply(seats, func(i int) *line { return lines[which[i]] })
	return nil
}

// reads returns what to read for each claim; those that wait in one line share a read.
func (b *Backend) reads(seats []seat) (which []int, ops []clientv3.Op) {
	b.mu.Lock()
	defer b.mu.Unlock()
	lines := make(map[string]int)
	for _, t := range seats {
		if t.held {
			which, ops = append(which, len(ops)), append(ops, clientv3.OpGet(t.key, clientv3.WithKeysOnly()))
			continue
		}
		n, ok := lines[t.line]
		if !ok {
			n = len(ops)
			lines[t.line] = n
			ops = append(ops, clientv3.OpGet(t.line, clientv3.WithPrefix(), clientv3.WithKeysOnly()))
		}
		which = append(which, n)
	}
	return which, ops
}

// apply sets the states by the lines, or to Gone without any, forgets claims that are not there, and sees to it that waiters
// are followed.
func (b *Backend) apply(seats []seat, lineOf func(int) *line) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, t := range seats {
		t.state.Phase = lock.Gone
		if lineOf != nil {
			*t.state = t.stand(lineOf(i))
		}
		switch t.state.Phase {
		case lock.Gone:
			b.drop(t.place)
		case lock.Queued:
			b.follow(t.place)
		}
	}
}
