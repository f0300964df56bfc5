package natsbudget

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/concordkit/concord/retry"
)

const (
	maxTries   = 200
	firstPause = 2 * time.Millisecond
	maxPause   = 50 * time.Millisecond
)

// sequenceNotReady is the error code of a new leader that does not know the last sequence of a subject yet.
const sequenceNotReady = 10163

// change replaces the level of b by what edit makes of it, unless edit reports that there is nothing to do, and returns the
// revision that it has written. Only levels of the revision after, or later ones, are edited: a replica may be behind.
func (p *Pool) change(ctx context.Context, b retry.Bucket, after uint64, edit func(*level) bool) (uint64, error) {
	key := p.key(b.Name)
	for try, pause := 0, firstPause; try < maxTries; try, pause = try+1, min(2*pause, maxPause) {
		if try > 0 && !sleep(ctx, rand.N(pause)) {
			return 0, context.Cause(ctx)
		}
		l, revision, err := p.read(ctx, key, b)
		if err != nil {
			return 0, err
		}
		if revision < after {
			continue
		}
		if !edit(&l) {
			return revision, nil
		}
		written, err := p.write(ctx, key, l, revision)
		if !refused(err) {
			return written, err
		}
	}
	return 0, ErrContended
}

// read returns the level of b when its message was stored, and its revision, 0 where there is none.
func (p *Pool) read(ctx context.Context, key string, b retry.Bucket) (level, uint64, error) {
	e, err := p.kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return full(b), 0, nil
	}
	if err != nil {
		return level{}, 0, err
	}
	l, err := parse(e.Value())
	if err != nil {
		return level{}, 0, err
	}
	l.fill(b, e.Created())
	return l, e.Revision(), nil
}

func (p *Pool) write(ctx context.Context, key string, l level, revision uint64) (uint64, error) {
	if revision == 0 {
		return p.kv.Create(ctx, key, []byte(l.String()))
	}
	return p.kv.Update(ctx, key, []byte(l.String()), revision)
}

// refused reports whether a value was not written for certain, since another one has come before or the leader is new. Any other error ends the
// call: a write that may have been done must not be done again.
func refused(err error) bool {
	if errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		return true
	}
	e, ok := errors.AsType[*jetstream.APIError](err)
	return ok && (e.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		e.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant || e.ErrorCode == sequenceNotReady)
}

// sleep reports whether ctx lasted for d.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
