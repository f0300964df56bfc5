package natslock

import (
	"context"
	"errors"
	"time"

	"github.com/concordkit/concord/lock"
)

// claim is what this process knows of a claim of its own. Its fields but the first ones are guarded by Backend.mu.
type claim struct {
	lock.Claim
	key  string
	line string

	rec      record    // as stored by the message seq
	seq      uint64    // of the newest message known to be ours, 0 before the first
	until    time.Time // it lives at least until then, by its last write
	held     bool      // once held, a claim holds as long as it lives
	copied   bool      // copies of its create may be on their way
	released bool
	notify   func(lock.State)
}

// own returns the claim of this process for c, nil if it has none.
func (b *Backend) own(c lock.Claim) *claim {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.claims[lineOf(c)+"."+c.ID]
}

// enlist returns the claim of this process for c, and makes it if it has none.
func (b *Backend) enlist(c lock.Claim) *claim {
	line := lineOf(c)
	key := line + "." + c.ID
	b.mu.Lock()
	defer b.mu.Unlock()
	if o := b.claims[key]; o != nil {
		return o
	}
	b.forgetDead()
	o := &claim{
		Claim: c, key: key, line: line,
		rec:    record{weight: c.Weight, capacity: c.Capacity, value: c.Value},
		until:  time.Now(),
		notify: func(lock.State) {},
	}
	b.claims[key] = o
	b.counts[line]++
	return o
}

// listen sets where changes of o go, and reports false after its release.
func (b *Backend) listen(o *claim, notify func(lock.State)) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if notify != nil {
		o.notify = notify
	}
	return !o.released
}

// grace is how much longer than its TTL a claim that nobody released is remembered.
const grace = 2 * time.Second

// forgetDead drops claims that nobody has released, once in a while; b.mu is held. The server has dropped them long ago,
// also where a write went unacknowledged.
func (b *Backend) forgetDead() {
	if len(b.claims) < b.prune {
		return
	}
	now := time.Now()
	for _, o := range b.claims {
		if now.After(o.until.Add(2*o.TTL + grace)) {
			b.remove(o)
		}
	}
	b.prune = 2*len(b.claims) + 64
}

// forget ends what this process knows of o.
func (b *Backend) forget(o *claim) {
	b.leave(o)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.claims[o.key] == o {
		b.remove(o)
	}
}

// remove drops o; b.mu is held.
func (b *Backend) remove(o *claim) {
	delete(b.claims, o.key)
	if b.counts[o.line]--; b.counts[o.line] == 0 {
		delete(b.counts, o.line)
	}
}

// learn takes a message of o that is stored, unless a later one is known.
func (b *Backend) learn(o *claim, seq uint64, r record, until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if seq > o.seq {
		o.seq, o.rec = seq, r
	}
	if until.After(o.until) {
		o.until = until
	}
}

// write stores o's next message, by which it lives for its TTL from now on, with a new value if set is given. It returns the
// sequence, 0 if o is gone.
//
// A message that was stored though its acknowledgement was lost, or that comes from another call, makes the server refuse the
// next one. So a refusal is not taken for a loss: what is stored tells.
func (b *Backend) write(ctx context.Context, o *claim, set func(*record)) (uint64, error) {
	open := false // a try was not answered
	for wait := patience; ; wait *= 2 {
		b.mu.Lock()
		r, expect := o.rec, o.seq
		b.mu.Unlock()
		if set != nil {
			set(&r)
		}
		until := time.Now().Add(o.TTL)
		seq, err := b.attempt(ctx, wait, o.key, claimHeader(o.TTL, expect), r.encode())
		switch {
		case err == nil:
			if r.order == 0 {
				r.order = seq
			}
			b.learn(o, seq, r, until)
			return seq, nil
		case errors.Is(err, errLost):
			open = true
			b.mu.Lock()
			o.copied = o.copied || expect == 0
			b.mu.Unlock()
		case errors.Is(err, errMoved):
			if _, alive, err := b.settle(ctx, o); err != nil || !alive {
				return 0, err
			}
		case open:
			return 0, doubt{err}
		default:
			return 0, err
		}
	}
}

// settle finds out what became of o after a refusal, and learns its newest message if it lives. Otherwise it returns the
// marker of its end, or the zero message if there was nothing, in whose place a marker stands now.
func (b *Backend) settle(ctx context.Context, o *claim) (message, bool, error) {
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		b.mu.Lock()
		known, order, over := o.seq, o.rec.order, o.released
		b.mu.Unlock()
		m, err := b.last(ctx, o.key)
		switch {
		case err != nil:
			return m, false, err
		case m.seq == 0:
			// The replica lags behind, or it is over and the marker too. A write that expects nothing tells.
			_, err = b.attempt(ctx, patience, o.key, markerHeader(o.TTL, 0), nil)
			if !errors.Is(err, errMoved) && !errors.Is(err, errLost) {
				return m, false, err
			}
		case m.marker && (m.seq > known || known > 0 && m.seq < known): // or another bucket of the same name
			return m, false, nil
		case m.seq > known:
			r, err := m.record()
			if err != nil {
				return m, false, err
			}
			if order != 0 && r.order != order && !over {
				return m, false, nil // a copy of the create, which came after the claim's end
			}
			b.learn(o, m.seq, r, time.Time{})
			return m, true, nil
		}
		if !sleep(ctx, pause) {
			return m, false, context.Cause(ctx)
		}
		if m.seq == known && known != 0 {
			return m, true, nil // another write was under way, or the replica lags: try again
		}
	}
}
