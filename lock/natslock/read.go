package natslock

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Direct gets are answered by any replica, also by one that lags behind or is cut off. What they say is true of the past,
// and no more.

// patience is how long an answer or a delivery may be late before something is taken to be broken.
const patience = time.Second

// pageBytes bounds one answer, since the server drops a client that does not keep up with what it is sent.
const pageBytes = 4 << 20

// directGet is a request of the direct get API.
type directGet struct {
	LastBySubject string   `json:"last_by_subj,omitempty"`
	LastOfEach    []string `json:"multi_last,omitempty"`
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

// follows reports whether what comes after a's messages names the last of them: NATS may lose some on the way.
func (a answer) follows(last string) bool {
	if len(a.messages) == 0 {
		return last == "0"
	}
	return last == strconv.FormatUint(a.messages[len(a.messages)-1].seq, 10)
}

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
			return b.list(ctx, filter)
		case len(a.messages) == 0 && a.end.Get("Description") == "No Results":
			return nil, 0, nil
		}
		// One of them has expired while the server collected them.
		if !sleep(ctx, pause) {
			return nil, 0, fmt.Errorf("%w: %w", context.Cause(ctx), errIncomplete)
		}
	}
}

// list is read for more than a direct get lists: a consumer delivers the last message of every key, as of one replica. What is
// stored meanwhile may be among them.
func (b *Backend) list(ctx context.Context, filter string) (ms []message, upTo uint64, err error) {
	inbox, name := b.nc.NewInbox(), rand.Text()
	sub, err := b.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, 0, err
	}
	defer sub.Unsubscribe()
	pending, err := b.consumer(ctx, name, inbox, []string{filter}, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy,
	})
	if err != nil {
		return nil, 0, err
	}
	defer b.drop(name)
	for delivered := uint64(1); pending > 0; delivered++ {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return nil, 0, err
		}
		meta, err := m.Metadata()
		if err != nil || meta.Sequence.Consumer != delivered {
			return nil, 0, errGap
		}
		upTo, pending = meta.Sequence.Stream, meta.NumPending
		ms = append(ms, b.message(m.Subject, upTo, m.Header, m.Data))
	}
	return ms, upTo, nil
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
		a.status = m.Header.Get("Status")
		if enough == nil && (a.status == "" || a.status == statusEnd) && !a.follows(m.Header.Get(headerLast)) {
			return a, errIncomplete
		}
		switch a.status {
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
