package etcdlock

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// spent is the part of a TTL, a third, after which a session is kept alive before a claim joins it.
	spent = 3
	// maxTombs is how many tombs a session may carry; then it takes no new claims, and its tombs end with its last one.
	maxTombs = 64
)

// session is an etcd lease that claims with the same TTL share. Backend.mu guards it.
type session struct {
	ttl     int64         // in seconds
	ready   chan struct{} // closed when id or err is set
	id      clientv3.LeaseID
	err     error
	kept    time.Time // before the last request was sent that is known to have extended it
	beat    *beat     // the keep-alive on the wire
	dead    bool      // the server has it no more
	tombs   int
	orphans map[*place]struct{} // claims whose release has failed
}

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
		s, err := b.open(ctx, p, int64((ttl+time.Second-1)/time.Second))
		if err != nil {
			return nil, nil, err
		}
		b.mu.Lock()
		age := time.Since(s.kept)
		b.mu.Unlock()
		if age <= ttl/spent {
			return s, nil, nil
		}
		if age < s.life() {
			if bt, err := b.keep(ctx, s); !errors.Is(err, rpctypes.ErrLeaseNotFound) {
				return s, bt, err
			}
		}
		b.bury(s)
	}
}

// open returns the session that p has asked to live on before, or else the current one of its TTL, once that stands.
func (b *Backend) open(ctx context.Context, p *place, ttl int64) (*session, error) {
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

func (s *session) life() time.Duration { return time.Duration(s.ttl) * time.Second }

// grant is for all who wait for s, so it does not end with any of them.
func (b *Backend) grant(s *session) {
	ctx, stop := context.WithTimeout(b.cli.Ctx(), s.life())
	defer stop()
	sent := time.Now()
	r, err := b.cli.Grant(ctx, s.ttl)
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.err = err; err != nil {
		s.dead = true
	} else {
		s.id, s.kept = r.ID, sent
	}
	close(s.ready)
}

// bury forgets a session that the server does not have.
func (b *Backend) bury(s *session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.dead = true
	for p := range s.orphans {
		b.drop(p)
	}
	clear(s.orphans)
}

// keep sends a keep-alive for s, or joins the one on the wire.
func (b *Backend) keep(ctx context.Context, s *session) (*beat, error) {
	b.mu.Lock()
	bt := s.beat
	if bt == nil {
		bt = &beat{sent: time.Now(), done: make(chan struct{})}
		s.beat = bt
		go b.send(s, bt)
	}
	b.mu.Unlock()
	select {
	case <-bt.done:
		return bt, bt.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (b *Backend) send(s *session, bt *beat) {
	ctx, stop := context.WithTimeout(b.cli.Ctx(), s.life()/spent)
	defer stop()
	bt.term, bt.err = b.keepAlive(ctx, s.id)
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
