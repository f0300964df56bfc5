package etcdlock

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concordkit/concord/lock"
)

// Acquire implements lock.Backend.
func (b *Backend) Acquire(ctx context.Context, c lock.Claim, notify func(lock.State)) (lock.State, error) {
	if err := b.check(c); err != nil {
		return lock.State{}, err
	}
	start := time.Now()
	p := b.enter(c, notify)
	for {
		s, bt, err := b.join(ctx, p)
		if err != nil {
			return lock.State{}, fail("acquire", c, err)
		}
		if !b.depart(p, s) {
			return lock.State{Phase: lock.Gone}, nil
		}
		st, term, err := b.put(ctx, c, p, s)
		switch {
		case errors.Is(err, rpctypes.ErrLeaseNotFound):
			b.bury(s)
			continue
		case err != nil:
			b.refused(p, err)
			return lock.State{}, fail("acquire", c, err)
		}
		if b.prove(s, bt, term) || !lives(c, st) {
			st.Age = b.age(s, start)
			return b.arrive(c, p, st), nil
		}
	}
}

// lives reports whether an acquire has left a claim in line.
func lives(c lock.Claim, st lock.State) bool {
	return st.Phase == lock.Held || st.Phase == lock.Queued && !c.NoWait
}

// enter returns the place of c, a new one unless it is known.
func (b *Backend) enter(c lock.Claim, notify func(lock.State)) *place {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.places[c.ID]
	if p == nil {
		p = b.newPlace(c)
	}
	p.notify = notify
	return p
}

// depart notes that an acquire is about to be sent, unless its release came first.
func (b *Backend) depart(p *place, s *session) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.released {
		return false
	}
	p.session, p.open = s, true
	return true
}

// refused notes that the server does not know the claim, if err says so.
func (b *Backend) refused(p *place, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if certain(err) && !errors.Is(err, lock.ErrCorrupt) && p.rev == 0 {
		p.session, p.open = nil, false
	}
}

// arrive notes the answer to an acquire. Its release may have come before.
func (b *Backend) arrive(c lock.Claim, p *place, st lock.State) lock.State {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case p.released:
		return lock.State{Phase: lock.Gone}
	case !lives(c, st):
		b.drop(p)
	case st.Phase == lock.Queued:
		b.follow(p)
	}
	p.open = false
	return st
}

// put writes c's key and reads its line in one transaction. A claim that does not wait is written only if nobody has come
// since the line was seen to have room for it, one that has been in line only if it still is.
func (b *Backend) put(ctx context.Context, c lock.Claim, p *place, s *session) (lock.State, uint64, error) {
	tomb, get := b.tomb(c.ID), clientv3.OpGet(p.line, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	for seen := int64(0); ; {
		cmps := []clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(tomb), "=", 0)}
		switch rev := b.revOf(p); {
		case rev > 0:
			cmps = append(cmps, clientv3.Compare(clientv3.CreateRevision(p.key), "=", rev))
		case c.NoWait:
			cmps = append(cmps, clientv3.Compare(clientv3.CreateRevision(p.line), "<", seen+1).WithPrefix())
		}
		r, err := b.cli.Txn(ctx).If(cmps...).
			Then(clientv3.OpPut(p.key, string(c.Value), clientv3.WithLease(s.id)), get).
			Else(clientv3.OpGet(tomb, clientv3.WithCountOnly()), get).Commit()
		if err != nil {
			return lock.State{}, 0, err
		}
		line, err := decodeLine(p.line, r.Responses[1].GetResponseRange().Kvs)
		if err != nil {
			return lock.State{}, 0, err
		}
		st, term := b.stand(p, line, r.Header.Revision), r.Header.RaftTerm
		switch {
		case r.Succeeded, st.Phase != lock.Gone, b.revOf(p) > 0, r.Responses[0].GetResponseRange().Count > 0:
			return st, term, nil
		case holders(append(line, entry{Claim: c})) <= len(line):
			return lock.State{Phase: lock.Queued}, term, nil
		}
		seen = r.Header.Revision
	}
}

func (b *Backend) revOf(p *place) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return p.rev
}
