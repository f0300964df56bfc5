package natslock

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/concordkit/concord/lock"
)

// linger is how long a line is followed after the last claim of this process has stopped waiting there, so that a busy line
// costs one consumer and not one for each wait.
const linger = time.Second

// crowd is how many messages in an answer make it worth to follow a line though nothing waits there: many hold, or come and
// go, and each read would list them or what they left. A line where this process has more than one claim is followed too, so
// that many calls at once share one read.
const crowd = 32

// line follows the claims of a line while claims of this process wait there.
type line struct {
	feed *feed

	mu    sync.Mutex
	waits map[*claim]func(lock.State)
	idle  *time.Timer
}

// followed returns o's line if it is followed, or should be.
func (b *Backend) followed(o *claim) *line {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.lines[o.line]
	if l == nil && b.counts[o.line] > 1 && !o.released {
		l = b.newLine(o.line, nil)
	}
	return l
}

// newLine follows a line from the view v on, or from a read of its own if that is nil; b.mu is held.
func (b *Backend) newLine(name string, v *view) *line {
	l := &line{waits: make(map[*claim]func(lock.State))}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.idle = time.AfterFunc(linger, func() { b.unfollow(name, l) })
	l.feed = b.newFeed(name+".*", nil, v, func() { b.push(name, l) })
	b.lines[name] = l
	return l
}

// follow makes o wait for pushes if it waits at all, and has its line followed from the view v on. It reports false
// after the release of o.
func (b *Backend) follow(o *claim, v *view, waits bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if o.released {
		return false
	}
	l := b.lines[o.line]
	if l == nil {
		l = b.newLine(o.line, v)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if waits {
		l.waits[o] = o.notify
	}
	l.rest()
	return true
}

// leave ends the pushes to o.
func (b *Backend) leave(o *claim) {
	b.mu.Lock()
	l := b.lines[o.line]
	b.mu.Unlock()
	if l != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.waits, o)
		l.rest()
	}
}

// rest lets the line linger once nobody waits; l.mu is held.
func (l *line) rest() {
	if len(l.waits) > 0 {
		l.idle.Stop()
		return
	}
	l.idle.Reset(linger)
}

// unfollow ends a line where nobody waits.
func (b *Backend) unfollow(name string, l *line) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waits) == 0 && b.lines[name] == l {
		delete(b.lines, name)
		l.feed.stop()
	}
}

// push tells the claims that wait in l where they stand now.
func (b *Backend) push(name string, l *line) {
	l.mu.Lock()
	waits := maps.Clone(l.waits)
	l.mu.Unlock()
	states, ok := b.shown(l, waits)
	if !ok {
		b.abandon(name, l)
	}
	for o, st := range states {
		if st.Phase == lock.Held || st.Phase == lock.Gone {
			b.leave(o)
			waits[o](st)
		} else if !ok { // a renewal says why
			waits[o](lock.State{})
		}
	}
}

// abandon makes way for another try to follow the line.
func (b *Backend) abandon(name string, l *line) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lines[name] == l {
		delete(b.lines, name)
	}
}

// shown returns where claims stand as their line's feed shows it, and false if the feed has failed.
func (b *Backend) shown(l *line, waits map[*claim]func(lock.State)) (states map[*claim]lock.State, ok bool) {
	l.feed.mu.Lock()
	defer l.feed.mu.Unlock()
	states = make(map[*claim]lock.State, len(waits))
	if l.feed.err != nil || l.feed.view == nil {
		for o := range waits {
			states[o] = lock.State{}
		}
		return states, l.feed.err == nil
	}
	for o, s := range l.feed.view.standings(waits) { // nothing is granted beside corrupt data
		states[o] = b.verdict(l.feed.view, o, s)
	}
	return states, true
}

// judge returns where o stands in v.
func (b *Backend) judge(v *view, o *claim) (lock.State, error) {
	s, err := v.stands(o.key)
	if err != nil {
		return lock.State{}, err
	}
	return b.verdict(v, o, s), nil
}

// verdict tells what a claim's standing in v means.
func (b *Backend) verdict(v *view, o *claim, s standing) lock.State {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case s == holding:
		o.held = true
		return lock.State{Phase: lock.Held, Token: lock.Token(o.rec.order)}
	case s == waiting:
		return lock.State{Phase: lock.Queued}
	case v.upTo >= o.rec.order:
		return lock.State{Phase: lock.Gone}
	}
	return lock.State{}
}

// stand waits until the line shows the message with the sequence seq and returns where o stands.
func (b *Backend) stand(ctx context.Context, l *line, o *claim, seq uint64) (lock.State, error) {
	if err := l.feed.await(ctx, seq, patience); err != nil {
		return lock.State{}, err
	}
	l.feed.mu.Lock()
	defer l.feed.mu.Unlock()
	if l.feed.view == nil {
		return lock.State{}, errGap
	}
	st, err := b.judge(l.feed.view, o)
	if st.Phase == lock.Queued {
		l.feed.doubt(o.TTL / 3) // what is ahead may have ended unheard
	}
	return st, err
}
