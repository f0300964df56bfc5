package lock

import (
	"context"
	"slices"
	"time"
)

// A lease is renewed a third of its TTL after its last acknowledged request, so two renewals may be lost. One timer
// serves all leases of a Locker; what is due soon goes along, so that many leases share few requests.
const (
	renewals = 3    // per TTL
	retries  = 12   // per TTL, after a renewal that failed
	maxBatch = 1000 // claims per call of Backend.Renew
	along    = 4    // the last quarter of its wait is when a lease goes along with others
)

// arm makes renew run at an instant, or before; l.mu is held.
func (l *Locker) arm(at time.Duration) {
	if at >= l.wake || l.closed {
		return
	}
	l.wake = at
	if l.timer == nil {
		l.timer = time.AfterFunc(at-l.now(), l.renew)
		return
	}
	l.timer.Reset(at - l.now())
}

// renew sends the leases that are due, in batches of one TTL, and arms the timer for the next ones.
func (l *Locker) renew() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wake = never
	now, next := l.now(), never
	due := map[time.Duration][]*Lease{}
	for s := range l.leases {
		if ttl := s.claim.TTL; now >= s.due-(s.due-s.asked)/along {
			due[ttl] = append(due[ttl], s)
			s.asked = now
			s.due = now + ttl/renewals // ask again if this one hangs
		}
		next = min(next, s.due)
	}
	l.arm(next)
	for _, ls := range due {
		for batch := range slices.Chunk(ls, maxBatch) {
			l.renewBatch(batch)
		}
	}
}

// renewBatch sends one batch in the background; l.mu is held. An answer counts from when it was asked for, however late
// it comes.
func (l *Locker) renewBatch(batch []*Lease) {
	cs := make([]Claim, len(batch))
	for i, s := range batch {
		cs[i] = s.current()
	}
	l.work.Go(func() { // the leases hold their own place in the work
		ctx, stop := context.WithTimeout(context.Background(), cs[0].TTL)
		defer stop()
		sent := l.now()
		states, _ := l.b.Renew(ctx, cs) // what failed is Unknown and tried again
		for i, s := range batch {
			var st State
			if i < len(states) {
				st = states[i]
			}
			s.hear(sent, st)
		}
	})
}

// hear acts on the answer to a request that was sent at the instant sent.
func (s *Lease) hear(sent time.Duration, st State) {
	if !s.take(sent, st) {
		s.end(s.claim.fail("keep", ErrLost), Held)
	}
}

// take applies an answer, or reports that the lease is lost.
func (s *Lease) take(sent time.Duration, st State) bool {
	l := s.l
	l.mu.Lock()
	defer l.mu.Unlock()
	now, ttl := l.now(), s.claim.TTL
	switch {
	case s.phase == Gone:
		return true
	case st.Phase == Gone, now >= time.Duration(s.deadline.Load()):
		return false
	case st.Phase == Unknown:
		s.renewAt(min(s.due, now+ttl/retries))
		return true
	case s.phase == Held && sent > s.since && (st.Phase != Held || st.Token != s.token):
		return false // the server has forgotten this grant, as after a failover
	}
	until := sent + ttl - l.marginOf(s.claim) - st.Age
	if s.phase == Unknown {
		return s.first(sent, until, st)
	}
	s.deadline.Store(max(s.deadline.Load(), int64(until)))
	// The next renewal was planned when this one was sent; what has come before that since then, a hint, stands.
	if st.Age > 0 {
		s.renewAt(min(s.due, sent+(ttl-st.Age)/renewals))
	}
	s.stand(st)
	return true
}

// first applies the first answer, which alone may shorten the lease: what was assumed at the send did not know its age.
// Then comes what was pushed before it. l.mu is held.
func (s *Lease) first(sent, until time.Duration, st State) bool {
	now := s.l.now()
	if until <= now || s.early.Phase == Gone {
		return false
	}
	s.deadline.Store(int64(until))
	s.expiry.Reset(until - now)
	s.asked, s.due = sent, sent+(s.claim.TTL-st.Age)/renewals
	s.phase = Queued
	s.stand(st)
	if s.early.Phase == Held {
		s.grant(s.early.Token)
	}
	if s.again {
		s.due = now
	}
	s.renewAt(s.due)
	return true
}

// stand applies where the server says that the claim stands; l.mu is held.
func (s *Lease) stand(st State) {
	switch {
	case st.Phase == Held:
		s.grant(st.Token)
	case s.phase == Queued && st.Look > 0:
		s.renewAt(min(s.due, s.l.now()+st.Look))
	}
}

// renewAt makes the lease due at an instant; l.mu is held.
func (s *Lease) renewAt(at time.Duration) {
	s.due = at
	s.l.arm(at)
}

// notify acts on a push. It can grant or end a claim or ask for a look, but extends nothing: only an answer tells when
// the server last heard of the claim, and before the first one nothing is known of its age.
func (s *Lease) notify(st State) {
	if s.pushed(st) {
		s.end(s.claim.fail("keep", ErrLost), Held)
	}
}

// pushed applies a push, or reports that the claim has ended.
func (s *Lease) pushed(st State) bool {
	l := s.l
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case s.phase == Gone:
	case s.phase == Unknown && st.Phase == Unknown:
		s.again = true
	case s.phase == Unknown && s.early.Phase != Gone:
		s.early = st
	case s.phase == Unknown:
	case st.Phase == Gone:
		return true
	case st.Phase == Held:
		s.grant(st.Token)
	case st.Phase == Unknown && s.phase == Queued:
		s.renewAt(l.now())
	}
	return false
}

// grant makes a waiting lease held, unless its time is over, which the timer will say; l.mu is held.
func (s *Lease) grant(t Token) {
	now := s.l.now()
	if s.phase == Held || s.phase == Gone || now >= time.Duration(s.deadline.Load()) {
		return
	}
	s.phase, s.token, s.since = Held, t, now
	close(s.granted)
}
