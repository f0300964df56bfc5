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

// Release implements lock.Backend.
func (b *Backend) Release(ctx context.Context, c lock.Claim) (bool, error) {
	if err := b.check(c); err != nil {
		return false, err
	}
	p, sent := b.withdraw(c)
	if !sent {
		b.remember(p)
		return false, nil
	}
	was, err := b.remove(clientv3.WithRequireLeader(ctx), p)
	return was, fail("release", c, err)
}

// withdraw ends the place of c here: an acquire that has not been sent will not be. It reports whether the server may have
// heard of c.
func (b *Backend) withdraw(c lock.Claim) (p *place, sent bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p = b.places[c.ID]
	sent = p == nil || p.session != nil
	if p == nil {
		p = b.newPlace(c)
	}
	p.released = true
	p.unfollow()
	return p, sent
}

// remove deletes p's key and reports whether it was there.
func (b *Backend) remove(ctx context.Context, p *place) (bool, error) {
	b.mu.Lock()
	s, late := p.session, p.unanswered || p.copies
	b.mu.Unlock()
	was, repeated, err := request(ctx, p.claim.TTL/tries, func(ctx context.Context) (bool, error) { return b.erase(ctx, p, s, late) })
	if err != nil {
		b.strand(p)
		return false, err
	}
	if repeated && b.mustLive(p) {
		was = true // so that a copy has released it
	}
	b.mu.Lock()
	if s != nil {
		delete(s.orphans, p)
		if late {
			s.tombs++
		}
	}
	p.unanswered, p.copies = false, false
	if was {
		b.drop(p)
	}
	b.mu.Unlock()
	if !was {
		b.remember(p)
	}
	return was, nil
}

// erase is the request of remove. If an acquire may still be under way, a tomb refuses it: on the etcd lease that the
// acquire asks for, so that the tomb is there as long as the acquire can succeed.
func (b *Backend) erase(ctx context.Context, p *place, s *session, late bool) (was bool, err error) {
	if !late {
		r, err := b.cli.Delete(ctx, p.key)
		return err == nil && r.Deleted > 0, err
	}
	tomb := clientv3.OpPut(b.tomb(p.claim.ID), "", clientv3.WithLease(s.id))
	r, err := b.cli.Txn(ctx).Then(clientv3.OpDelete(p.key), tomb).Commit()
	switch {
	case errors.Is(err, rpctypes.ErrLeaseNotFound): // nor does the acquire find it
		return false, nil
	case errors.Is(err, rpctypes.ErrNoSpace): // a server that is full lets delete, but write no tomb
		d, failed := b.cli.Delete(ctx, p.key)
		if failed == nil && d.Deleted > 0 {
			return true, nil
		}
		return false, err
	}
	return err == nil && r.Responses[0].GetResponseDeleteRange().Deleted > 0, err
}

// mustLive reports whether p was in line and cannot have died of age yet.
func (b *Backend) mustLive(p *place) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return p.rev > 0 && !p.session.dead && time.Since(p.session.kept) < p.claim.TTL
}

// remember refuses acquires of a claim that was not there when it was released, for its TTL.
func (b *Backend) remember(p *place) {
	time.AfterFunc(p.claim.TTL, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.drop(p)
	})
}

// strand keeps a claim that could not be released, for renewals of its session to release: other claims may keep its etcd
// lease alive.
func (b *Backend) strand(p *place) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := p.session
	if s == nil || s.dead {
		b.drop(p)
		return
	}
	s.orphans[p] = struct{}{}
	time.AfterFunc(2*s.life(), func() { b.expire(s) })
}

// expire ends a session that nobody keeps alive any more.
func (b *Backend) expire(s *session) {
	if b.age(s, time.Now()) >= s.life() {
		b.end(s)
	}
}

// maxCleared is how many stranded claims one renewal releases; the next one goes on.
const maxCleared = 16

// clear releases stranded claims of s, beside the renewal.
func (b *Backend) clear(s *session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.clearing || len(s.orphans) == 0 {
		return
	}
	s.clearing = true
	orphans := slices.Collect(maps.Keys(s.orphans))
	go func() {
		ctx, stop := b.background(s.life() / spent)
		defer stop()
		for _, p := range orphans[:min(len(orphans), maxCleared)] {
			if _, err := b.remove(ctx, p); err != nil {
				break
			}
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		s.clearing = false
	}()
}

// SetValue implements lock.Backend.
func (b *Backend) SetValue(ctx context.Context, c lock.Claim) (bool, error) {
	if err := b.check(c); err != nil {
		return false, err
	}
	b.mu.Lock()
	p := b.places[c.ID]
	if p == nil || !p.held || p.released {
		b.mu.Unlock()
		return false, nil
	}
	rev := p.rev
	b.mu.Unlock()
	ctx = clientv3.WithRequireLeader(ctx)
	// Not sent again when it is late: a copy could come after a newer value.
	r, err := read(ctx, c.TTL, func(ctx context.Context) (*clientv3.TxnResponse, error) {
		return b.cli.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(p.key), "=", rev)).
			Then(clientv3.OpPut(p.key, string(c.Value), clientv3.WithIgnoreLease())).Commit()
	})
	if err != nil {
		return false, fail("set the value of", c, err)
	}
	return r.Succeeded, nil
}
