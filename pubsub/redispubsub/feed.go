package redispubsub

import (
	"context"
	"sync"

	"github.com/concordkit/concord/pubsub"
)

const (
	// maxWaiting and maxWaitingBytes bound what waits for a sink that blocks. As much again may be on its way into the sink.
	maxWaiting      = 1 << 16
	maxWaitingBytes = 32 << 20
	// messageBytes is about what a message takes beside its payload.
	messageBytes = 128
	// keep is the largest buffer that is used again.
	keep = 4096
)

// feed is what has come for a subscription and its sink has not got yet. What finds no room is a gap in its place.
type feed struct {
	more chan struct{} // has one when there is something

	mu    sync.Mutex
	in    batch
	spare []pubsub.Message
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

func newFeed() *feed { return &feed{more: make(chan struct{}, 1)} }

// put adds a message. The caller holds f.mu.
func (f *feed) put(m pubsub.Message) {
	size := len(m.Data) + messageBytes
	if n := len(f.in.ms); n >= maxWaiting || n > 0 && f.in.bytes+size > maxWaitingBytes {
		f.gap(errFull)
		return
	}
	f.in.ms = append(f.in.ms, m)
	f.in.bytes += size
	f.signal()
}

// gap notes that something is missing after the last message. The caller holds f.mu.
func (f *feed) gap(cause error) {
	at := len(f.in.ms)
	if n := len(f.in.gaps); n > 0 && f.in.gaps[n-1].at == at {
		return
	}
	f.in.gaps = append(f.in.gaps, gap{at, cause})
	f.signal()
}

func (f *feed) signal() {
	select {
	case f.more <- struct{}{}:
	default:
	}
}

// deliver hands on what is there.
func (f *feed) deliver(ctx context.Context, s pubsub.Sink) error {
	f.mu.Lock()
	b := f.in
	f.in = batch{ms: f.spare}
	f.spare = nil
	f.mu.Unlock()
	if err := b.deliver(ctx, s); err != nil {
		return err
	}
	if cap(b.ms) > keep {
		return nil
	}
	clear(b.ms)
	f.mu.Lock()
	f.spare = b.ms[:0]
	f.mu.Unlock()
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
