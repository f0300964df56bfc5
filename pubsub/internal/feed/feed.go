// Package feed is between the goroutine that reads what comes for a subscription and the one that gives it to its sink.
package feed

import (
	"context"
	"errors"
	"sync"

	"github.com/concordkit/concord/pubsub"
)

const (
	// MaxMessages and MaxBytes bound what waits for a sink that blocks. As much again may be on its way into the sink.
	MaxMessages = 1 << 16
	MaxBytes    = 32 << 20
	// messageBytes is about what a message takes beside its payload.
	messageBytes = 128
	// keep is the largest buffer that is used again.
	keep = 4096
)

// ErrFull is the cause of a gap at which messages came faster than a subscription with pubsub.Block took them.
var ErrFull = errors.New("pubsub: no room for what came")

// Feed is what has come for a subscription and its sink has not got yet. What finds no room is a gap in its place.
type Feed struct {
	// More has one when there is something.
	More chan struct{}

	sync.Mutex // guards what is below, and what its user keeps in step with it
	in         batch
	spare      []pubsub.Message
}

type batch struct {
	ms    []pubsub.Message
	gaps  []gap
	bytes int
}

// gap is one before the message at.
type gap struct {
	at    int
	cause error
}

// New returns an empty Feed.
func New() *Feed { return &Feed{More: make(chan struct{}, 1)} }

// Put adds a message. The caller holds f.
func (f *Feed) Put(m pubsub.Message) {
	size := len(m.Data) + messageBytes
	if n := len(f.in.ms); n >= MaxMessages || n > 0 && f.in.bytes+size > MaxBytes {
		f.Gap(ErrFull)
		return
	}
	f.in.ms = append(f.in.ms, m)
	f.in.bytes += size
	f.signal()
}

// Gap notes that something is missing after the last message. The caller holds f.
func (f *Feed) Gap(cause error) {
	at := len(f.in.ms)
	if n := len(f.in.gaps); n > 0 && f.in.gaps[n-1].at == at {
		return
	}
	f.in.gaps = append(f.in.gaps, gap{at, cause})
	f.signal()
}

func (f *Feed) signal() {
	select {
	case f.More <- struct{}{}:
	default:
	}
}

// Deliver hands on what is there.
func (f *Feed) Deliver(ctx context.Context, s pubsub.Sink) error {
	f.Lock()
	b := f.in
	f.in = batch{ms: f.spare}
	f.spare = nil
	f.Unlock()
	if err := b.deliver(ctx, s); err != nil {
		return err
	}
	if cap(b.ms) > keep {
		return nil
	}
	clear(b.ms)
	f.Lock()
	f.spare = b.ms[:0]
	f.Unlock()
	return nil
}

// deliver calls s for each run of messages of one topic without a gap.
func (b *batch) deliver(ctx context.Context, s pubsub.Sink) error {
	for i := 0; ; {
		end := len(b.ms)
		if len(b.gaps) > 0 && b.gaps[0].at == i {
			s.Gap(b.gaps[0].cause)
			b.gaps = b.gaps[1:]
		}
		if i == end {
			return nil
		}
		if len(b.gaps) > 0 {
			end = b.gaps[0].at
		}
		j := i + 1
		for j < end && b.ms[j].Topic == b.ms[i].Topic {
			j++
		}
		if err := s.Deliver(ctx, b.ms[i].Topic, b.ms[i:j]); err != nil {
			return err
		}
		i = j
	}
}
