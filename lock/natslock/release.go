package natslock

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/concordkit/concord/lock"
)

// markerTTL is how long the marker of a release stays when the claim was known to be there. Its create was sent once and has
// been acknowledged, so that no copy is on its way; the marker only has to be seen, and each read of the line lists it.
const markerTTL = time.Second

// released is what the marker of a claim that was there holds, so that a release that is repeated says the same.
const released = "released"

// Release implements lock.Backend.
func (b *Backend) Release(ctx context.Context, c lock.Claim) (bool, error) {
	if err := b.check(ctx, c); err != nil {
		return false, fail("release", c, err)
	}
	o := b.enlist(c)
	b.mu.Lock()
	o.released = true
	b.mu.Unlock()
	b.leave(o)
	was, err := b.release(ctx, o)
	if err == nil {
		b.forget(o)
	} else {
		b.follows(o)
	}
	return was, fail("release", c, err)
}

// follows leaves an unconditional marker behind what is still to be sent of o. The client library may hold a create until
// there is a connection again, and then a marker that expects none comes to nothing.
func (b *Backend) follows(o *claim) {
	b.mu.Lock()
	known := o.seq != 0
	b.mu.Unlock()
	if !known {
		h := markerHeader(o.TTL, 0)
		delete(h, headerExpected)
		b.nc.PublishMsg(&nats.Msg{Subject: b.publishRoot + o.key, Header: h})
	}
}

func (b *Backend) release(ctx context.Context, o *claim) (bool, error) {
	open := false // a try was not answered
	for wait := patience; ; wait *= 2 {
		b.mu.Lock()
		expect, ttl := o.seq, o.TTL
		if expect != 0 && !o.copied {
			ttl = markerTTL
		}
		b.mu.Unlock()
		was := expect != 0
		_, err := b.attempt(ctx, wait, o.key, markerHeader(ttl, expect), note(was))
		switch {
		case errors.Is(err, errLost):
			open = true
			continue
		case err != nil && open && !errors.Is(err, errMoved):
			return was, doubt{err}
		case !errors.Is(err, errMoved):
			return was, err
		}
		m, alive, err := b.settle(ctx, o)
		switch {
		case err != nil:
			return false, err
		case alive:
			continue
		case m.seq == 0:
			// It cannot have died of age yet, so that a try before this one has released it.
			b.mu.Lock()
			defer b.mu.Unlock()
			return was && time.Now().Before(o.until), nil
		case string(m.data) == released:
			return true, nil
		}
		// It has ended before. The marker of that stays as long as the server likes, ours for the TTL.
		_, err = b.attempt(ctx, wait, o.key, markerHeader(o.TTL, m.seq), nil)
		if !errors.Is(err, errMoved) && !errors.Is(err, errLost) {
			return false, err
		}
	}
}

func note(was bool) []byte {
	if was {
		return []byte(released)
	}
	return nil
}

// SetValue implements lock.Backend. The claim is renewed by the way.
func (b *Backend) SetValue(ctx context.Context, c lock.Claim) (bool, error) {
	if err := b.check(ctx, c); err != nil {
		return false, fail("set the value of", c, err)
	}
	o := b.own(c)
	if o == nil {
		return false, nil
	}
	b.mu.Lock()
	held := o.held
	b.mu.Unlock()
	if !held {
		return false, nil
	}
	seq, err := b.write(ctx, o, func(r *record) { r.value = c.Value })
	return seq != 0, fail("set the value of", c, err)
}
