package etcdlock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concordkit/concord/lock"
)

const (
	// spent is the part of a TTL, a third, after which a session is kept alive before a claim joins it.
	spent = 3
	// maxTombs is how many tombs a session may carry; then it takes no new claims, and its tombs end with its last one.
	maxTombs = 64
)

// session is an etcd lease that claims share whose TTLs come to the same seconds. Backend.mu guards it.
type session struct {
	ttl      int64         // in seconds
	ready    chan struct{} // closed when id or err is set
	id       clientv3.LeaseID
	err      error
	kept     time.Time // before the last request was sent that is known to have extended it
	beat     *beat     // the keep-alive on the wire
	dead     bool      // the server has it no more
	tombs    int
	orphans  map[*place]struct{} // claims whose release has failed
	clearing bool                // they are being released
}

func (s *session) life() time.Duration { return time.Duration(s.ttl) * time.Second }

// beat is a keep-alive. It counts once it is proven.
type beat struct {
	sent time.Time
	done chan struct{} // closed when term or err is set
	term uint64        // of the last entry that the member that answered had applied
	err  error
}

// join returns the session that p lives on, and the keep-alive that has still to be proven if it needed one.
func (b *Backend) join(ctx context.Context, p *place) (*session, *beat, error) {
	ttl := p.claim.TTL
	for {
		s, err := b.session(ctx, p, int64((ttl+time.Second-1)/time.Second))
		if err != nil {
			return nil, nil, err
		}
		b.mu.Lock()
		age := time.Since(s.kept)
		b.mu.Unlock()
		switch {
		case age <= ttl/spent:
			return s, nil, nil
		case age >= s.life():
			b.end(s)
			continue
		}
		bt, ours, err := b.keep(ctx, s)
		switch {
		case errors.Is(err, rpctypes.ErrLeaseNotFound):
			b.end(s)
		case err == nil || ours || ctx.Err() != nil:
			return s, bt, err
		}
	}
}

// session returns the session that p has asked to live on before, or else the current one of its TTL, once that stands.
func (b *Backend) session(ctx context.Context, p *place, ttl int64) (*session, error) {
	b.mu.Lock()
	s := p.session
	if s == nil || s.dead {
		s = b.sessions[ttl]
	}
	if s == nil || s.dead || s.tombs >= maxTombs && s != p.session {
		s = &session{ttl: ttl, ready: make(chan struct{}), orphans: make(map[*place]struct{})}
		b.sessions[ttl] = s
		go b.grant(s)
	}
	b.mu.Unlock()
	select {
	case <-s.ready:
		return s, s.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// background returns a context for what is not done for one call alone. It ends with the client.
func (b *Backend) background(limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(clientv3.WithRequireLeader(b.cli.Ctx()), limit, fmt.Errorf("no answer within %v", limit))
}

// grant makes s for all who wait for it.
func (b *Backend) grant(s *session) {
	ctx, stop := b.background(s.life())
	defer stop()
	var sent time.Time
	r, err := read(ctx, s.life()/tries, func(ctx context.Context) (*clientv3.LeaseGrantResponse, error) {
		sent = time.Now()
		return b.cli.Grant(ctx, s.ttl)
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		s.err, s.dead = because(ctx, err), true
	} else {
		s.id, s.kept = r.ID, sent
	}
	close(s.ready)
}

// because returns why a context of background has ended in place of what came of that: its deadline is not the caller's.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// end forgets a session that the server does not have, and tells all who live on it.
func (b *Backend) end(s *session) {
	var lost []func(lock.State)
	b.mu.Lock()
	s.dead = true
	for p := range s.orphans {
		b.drop(p)
	}
	clear(s.orphans)
	for _, p := range b.places {
		if p.session == s && p.rev > 0 && !p.released {
			lost = append(lost, p.notify)
		}
	}
	b.mu.Unlock()
	for _, notify := range lost {
		notify(lock.State{Phase: lock.Gone})
	}
}

// keep sends a keep-alive for s, or joins the one on the wire, which is not ours.
func (b *Backend) keep(ctx context.Context, s *session) (bt *beat, ours bool, err error) {
	b.mu.Lock()
	if bt = s.beat; bt == nil {
		bt, ours = &beat{sent: time.Now(), done: make(chan struct{})}, true
		s.beat = bt
		go b.send(s, bt)
	}
	b.mu.Unlock()
	select {
	case <-bt.done:
		return bt, ours, bt.err
	case <-ctx.Done():
		return nil, ours, context.Cause(ctx)
	}
}

func (b *Backend) send(s *session, bt *beat) {
	ctx, stop := b.background(s.life() / spent)
	defer stop()
	term, err := read(ctx, s.life()/tries/2, func(ctx context.Context) (uint64, error) { return b.keepAlive(ctx, s.id) })
	if err != nil {
		bt.err = fmt.Errorf("keep-alive: %w", because(ctx, err))
	}
	bt.term = term
	b.mu.Lock()
	s.beat = nil
	b.mu.Unlock()
	close(bt.done)
}

// prove counts bt if a request that was sent after its answer, and in which a majority took part, finds the same term.
//
// A leader that is cut off answers keep-alives for up to an election timeout after the next one was elected, and that one
// lets etcd leases run out a TTL after its election. But whoever serves the later request has applied an entry of the
// leader that the majority follows then: if its term is no newer than that of the keep-alive, no other leader had been
// elected when the keep-alive was answered.
func (b *Backend) prove(s *session, bt *beat, term uint64) bool {
	if bt == nil {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if bt.term != term {
		return false
	}
	if bt.sent.After(s.kept) {
		s.kept = bt.sent
	}
	return true
}

// age returns how much of the TTL of a claim on s was spent at an instant.
func (b *Backend) age(s *session, at time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(0, at.Sub(s.kept))
}
