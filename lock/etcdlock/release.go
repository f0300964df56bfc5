package etcdlock

import (
	"context"
	"errors"
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
	p, sent := b.leave(c)
	if !sent {
		b.remember(p)
		return false, nil
	}
	was, err := b.remove(ctx, p)
	return was, fail("release", c, err)
}

// leave ends the place of c here: an acquire that has not been sent will not be. It reports whether the server may have
// heard of c.
func (b *Backend) leave(c lock.Claim) (p *place, sent bool) {
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
	s, open := p.session, p.open
	b.mu.Unlock()
	was, err := b.erase(ctx, p, s, open)
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.strand(p)
		return false, err
	}
	if s != nil {
		delete(s.orphans, p)
		if open && !was {
			s.tombs++
		}
	}
	p.open = false
	if was {
		b.drop(p)
	} else {
		b.remember(p)
	}
	return was, nil
}

// erase is the request of remove. If an acquire may still be under way, and its key is not there, a tomb refuses it: on the
// etcd lease that the acquire asks for, so that the tomb is there as long as the acquire can succeed.
func (b *Backend) erase(ctx context.Context, p *place, s *session, open bool) (was bool, err error) {
	if !open {
		r, err := b.cli.Delete(ctx, p.key)
		return err == nil && r.Deleted > 0, err
	}
	r, err := b.cli.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(p.key), ">", 0)).Then(clientv3.OpDelete(p.key)).
		Else(clientv3.OpPut(b.tomb(p.claim.ID), "", clientv3.WithLease(s.id))).Commit()
	if errors.Is(err, rpctypes.ErrLeaseNotFound) { // nor does the acquire find it
		return false, nil
	}
	return err == nil && r.Succeeded, err
}

// remember refuses acquires of a claim that was not there when it was released, for its TTL.
func (b *Backend) remember(p *place) {
	time.AfterFunc(p.claim.TTL, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.drop(p)
	})
}

// strand keeps a claim that could not be released, for the next renewal of its session to release: other claims may keep
// its etcd lease alive. b.mu is held.
func (b *Backend) strand(p *place) {
	if p.session == nil || p.session.dead {
		b.drop(p)
		return
	}
	p.session.orphans[p] = struct{}{}
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
	r, err := b.cli.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(p.key), "=", rev)).Then(clientv3.OpPut(p.key, string(c.Value), clientv3.WithIgnoreLease())).Commit()
	if err != nil {
		return false, fail("set the value of", c, err)
	}
	return r.Succeeded, nil
}
