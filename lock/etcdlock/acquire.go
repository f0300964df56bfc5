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
	ctx = clientv3.WithRequireLeader(ctx)
	start := time.Now()
	p := b.enter(c, notify)
	for {
		s, beat, err := b.join(ctx, p)
		if err != nil {
			return lock.State{}, fail("acquire", c, b.unsent(p, err))
		}
		if !b.sending(p, s) {
			return lock.State{Phase: lock.Gone}, nil
		}
		st, term, err := b.put(ctx, c, p, s)
		switch {
		case errors.Is(err, rpctypes.ErrLeaseNotFound):
			b.end(s)
			continue
		case err != nil:
			b.refused(p, err)
			return lock.State{}, fail("acquire", c, err)
		case c.NoWait && st.Phase == lock.Queued && b.revOf(p) > 0: // it has joined, and others were faster
			_, err := b.remove(ctx, p)
			return st, fail("acquire", c, err)
		}
		if b.prove(s, beat, term) || !lives(c, st) {
			st.Age = b.age(s, start)
			return b.answered(c, p, st), nil
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
	if notify != nil {
		p.notify = notify
	}
	return p
}

// unsent marks an error that came before anything was sent for p.
func (b *Backend) unsent(p *place, err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.session == nil {
		return refusal{err}
	}
	return err
}

// sending notes that an acquire is about to be sent, unless its release came first.
func (b *Backend) sending(p *place, s *session) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.released {
		return false
	}
	p.session, p.unanswered = s, true
	return true
}

// refused notes that the server does not know the claim, if err says so.
func (b *Backend) refused(p *place, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if certain(err) && !errors.Is(err, lock.ErrCorrupt) && p.rev == 0 && !p.copies {
		p.session, p.unanswered = nil, false
	}
}

// answered notes the answer to an acquire. Its release may have come before.
func (b *Backend) answered(c lock.Claim, p *place, st lock.State) lock.State {
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
	p.unanswered = false
	return st
}

// maxLooks is how often a claim that does not wait looks for room before it joins a busy line.
const maxLooks = 2

// put writes c's key and reads its line in one transaction, and returns the term in which that was. A claim that does not
// wait is written only if nobody has come since the line was seen to have room for it; where others do come again and
// again it joins, as long as there is room. One that has been in line is written only if it still is, and none twice.
func (b *Backend) put(ctx context.Context, c lock.Claim, p *place, s *session) (lock.State, uint64, error) {
	tomb, get := b.tomb(c.ID), clientv3.OpGet(p.line, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	for seen, looks := int64(0), 0; ; looks++ {
		cmps := []clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(tomb), "=", 0)}
		cmps = append(cmps, clientv3.Compare(clientv3.CreateRevision(p.key), "=", b.revOf(p)))
		if c.NoWait && looks < maxLooks {
			cmps = append(cmps, clientv3.Compare(clientv3.CreateRevision(p.line), "<", seen+1).WithPrefix())
		}
		r, copies, err := request(ctx, c.TTL/tries, func(ctx context.Context) (*clientv3.TxnResponse, error) {
			return b.cli.Txn(ctx).If(cmps...).
				Then(clientv3.OpPut(p.key, string(c.Value), clientv3.WithLease(s.id)), get).
				Else(clientv3.OpGet(tomb, clientv3.WithCountOnly()), get).Commit()
		})
		b.copied(p, copies)
		if err != nil {
			return lock.State{}, 0, err
		}
		l, err := decodeLine(p.line, r.Responses[1].GetResponseRange().Kvs, r.Header.Revision)
		if err != nil {
			return lock.State{}, 0, err
		}
		st, known := b.standing(p, l)
		switch {
		case r.Succeeded, known, r.Responses[0].GetResponseRange().Count > 0:
			return st, r.Header.RaftTerm, nil
		case !l.admits(c):
			return lock.State{Phase: lock.Queued}, r.Header.RaftTerm, nil
		}
		seen = r.Header.Revision
	}
}

// copied notes that copies of an acquire may be on their way.
func (b *Backend) copied(p *place, copies bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p.copies = p.copies || copies
}

// standing applies a line to p, and reports whether p is known to be, or to have been, in it.
func (b *Backend) standing(p *place, l *line) (st lock.State, known bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	st = p.stand(l)
	return st, p.rev > 0
}

func (b *Backend) revOf(p *place) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return p.rev
}
