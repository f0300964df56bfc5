package natslock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Pauses between tries.
const (
	minPause = 10 * time.Millisecond
	maxPause = 500 * time.Millisecond
)

// request sends m and waits for the answer. A subject that nobody serves is tried again while the bucket exists: its
// stream may be about to get a leader.
func (b *Backend) request(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		if b.nc.IsClosed() {
			return nil, refusal{nats.ErrConnectionClosed}
		}
		reply, err := b.nc.RequestMsgWithContext(ctx, m)
		if !errors.Is(err, nats.ErrNoResponders) {
			return reply, sent(err)
		}
		if err := b.inspect(ctx); final(err) {
			return nil, err
		}
		if !sleep(ctx, pause) {
			return nil, refusal{fmt.Errorf("%w: %w", context.Cause(ctx), err)}
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// publish stores a message and returns its sequence, or errMoved.
//
// What the client library buffers while it reconnects is sent late, but in order: a claim's create before what its release
// leaves behind. What expects a sequence is refused once another message has taken its place.
func (b *Backend) publish(ctx context.Context, key string, h nats.Header, data []byte) (uint64, error) {
	reply, err := b.request(ctx, &nats.Msg{Subject: b.publishRoot + key, Header: h, Data: data})
	if err != nil {
		return 0, err
	}
	var ack struct {
		Error    *jetstream.APIError `json:"error"`
		Sequence uint64              `json:"seq"`
	}
	err = json.Unmarshal(reply.Data, &ack)
	switch {
	case err != nil:
		return 0, fmt.Errorf("acknowledgement: %w", err)
	case ack.Error != nil && moved(ack.Error):
		return 0, errMoved
	case ack.Error != nil:
		return 0, refusal{ack.Error}
	case ack.Sequence == 0:
		return 0, fmt.Errorf("acknowledgement %.80q", reply.Data)
	}
	return ack.Sequence, nil
}

// errLost reports that no acknowledgement came. The message is stored, or not, or will be.
var errLost = errors.New("no acknowledgement")

// attempt is publish for no longer than wait. A message that expects a sequence may be sent again after errLost: at most one
// copy is stored, and the refusal of the other shows that.
func (b *Backend) attempt(ctx context.Context, wait time.Duration, key string, h nats.Header, data []byte) (uint64, error) {
	try, stop := context.WithTimeout(ctx, wait)
	defer stop()
	seq, err := b.publish(try, key, h, data)
	if ctx.Err() == nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrDisconnected)) {
		return 0, errLost
	}
	return seq, err
}
