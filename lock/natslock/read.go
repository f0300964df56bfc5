package natslock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// Direct gets are answered by any replica, also by one that lags behind or is cut off. What they say is true of the past,
// and no more.

// patience is how long an answer or a delivery may be late before something is taken to be broken.
const patience = time.Second

// One answer is bounded, since the server drops a client that does not keep up with what it is sent.
const (
	page      = 512 // messages of a scan
	pageBytes = 4 << 20
)

// directGet is a request of the direct get API.
type directGet struct {
	LastBySubject string   `json:"last_by_subj,omitempty"`
	LastOfEach    []string `json:"multi_last,omitempty"`
	NextBySubject string   `json:"next_by_subj,omitempty"`
	Sequence      uint64   `json:"seq,omitempty"`
	Batch         int      `json:"batch,omitempty"`
	MaxBytes      int      `json:"max_bytes,omitempty"`
}

// answer is what came back: messages, and how it ended.
type answer struct {
	messages []message
	status   string
	end      nats.Header
}

const (
	statusEnd          = "204"
	statusNone         = "404"
	statusTooMany      = "413"
	statusNoResponders = "503"
)

var errIncomplete = errors.New("incomplete answer")

// last returns the last message of a key, the zero one where there is none.
func (b *Backend) last(ctx context.Context, key string) (message, error) {
	a, err := b.get(ctx, directGet{LastBySubject: b.root + key}, func(a answer) bool { return len(a.messages) == 1 })
	if err != nil || a.status == statusNone {
		return message{}, err
	}
	return a.messages[0], nil
}

// read returns the last message of every key that filter matches, as of one instant of one replica, and the last sequence
// that replica then had, or 0 where no key matches.
func (b *Backend) read(ctx context.Context, filter string) (ms []message, upTo uint64, err error) {
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		a, err := b.get(ctx, directGet{LastOfEach: []string{b.root + filter}, MaxBytes: pageBytes}, nil)
		switch {
		case err != nil:
			return nil, 0, err
		case a.status == statusEnd && a.end.Get(headerPending) == "0":
			upTo, err := strconv.ParseUint(a.end.Get(headerUpTo), 10, 64)
			return a.messages, upTo, err
		case a.status == statusEnd, a.status == statusTooMany:
			return b.scan(ctx, filter)
		case len(a.messages) == 0 && a.end.Get("Description") == "No Results":
			return nil, 0, nil
		}
		// One of them has expired while the server collected them.
		if !sleep(ctx, pause) {
			return nil, 0, fmt.Errorf("%w: %w", context.Cause(ctx), errIncomplete)
		}
	}
}

// scan is read for more than the server lists at once. It walks through the stream, which holds one message of each
// key, to its end: a key whose message has moved meanwhile has moved ahead of it, so that at the end every key that then
// exists has been seen.
func (b *Backend) scan(ctx context.Context, filter string) (ms []message, upTo uint64, err error) {
	for {
		a, err := b.get(ctx, directGet{NextBySubject: b.root + filter, Sequence: upTo + 1, Batch: page, MaxBytes: pageBytes}, nil)
		if err != nil {
			return nil, 0, err
		}
		if n := len(a.messages); n > 0 {
			ms, upTo = append(ms, a.messages...), a.messages[n-1].seq
		}
		if a.status != statusEnd || a.end.Get(headerPending) == "0" {
			return ms, upTo, nil
		}
	}
}

// get asks until it has an answer that ended as one should, or that is enough.
func (b *Backend) get(ctx context.Context, q directGet, enough func(answer) bool) (answer, error) {
	data, err := json.Marshal(q)
	if err != nil {
		return answer{}, err
	}
	for pause, wait := minPause, patience; ; pause, wait = min(2*pause, maxPause), 2*wait {
		if b.nc.IsClosed() {
			return answer{}, refusal{nats.ErrConnectionClosed}
		}
		a, err := b.try(ctx, wait, data, enough)
		if err == nil || ctx.Err() != nil || final(err) {
			return a, err
		}
		if a.status == statusNoResponders {
			if err := b.inspect(ctx); final(err) {
				return a, err
			}
		}
		if !sleep(ctx, pause) {
			return a, err
		}
	}
}

func (b *Backend) try(ctx context.Context, wait time.Duration, q []byte, enough func(answer) bool) (a answer, err error) {
	ctx, stop := context.WithTimeout(ctx, wait)
	defer stop()
	inbox := b.nc.NewInbox()
	sub, err := b.nc.SubscribeSync(inbox)
	if err != nil {
		return a, sent(err)
	}
	defer sub.Unsubscribe()
	if err := b.nc.PublishRequest(b.api+"DIRECT.GET."+b.stream, inbox, q); err != nil {
		return a, sent(err)
	}
	for enough == nil || !enough(a) {
		m, err := sub.NextMsgWithContext(ctx)
		if errors.Is(err, nats.ErrNoResponders) {
			a.status = statusNoResponders
		}
		if err != nil {
			return a, err
		}
		switch a.status = m.Header.Get("Status"); a.status {
		case "":
			seq, err := strconv.ParseUint(m.Header.Get(headerSequence), 10, 64)
			if err != nil {
				return a, err
			}
			a.messages = append(a.messages, b.message(m.Header.Get(headerSubject), seq, m.Header, m.Data))
		case statusEnd, statusNone, statusTooMany:
			a.end = m.Header
			return a, nil
		default:
			return a, fmt.Errorf("direct get: %s %s", a.status, m.Header.Get("Description"))
		}
	}
	return a, nil
}
