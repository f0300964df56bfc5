package natspubsub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/concordkit/concord/pubsub"
)

const (
	defaultQueuePrefix  = "queue"
	defaultDedupeWindow = 2 * time.Minute
	defaultMaxAge       = 7 * 24 * time.Hour
	maxQueuePrefix      = 32
	maxPartitions       = 256
	// maxReplicas is the server's.
	maxReplicas = 5
)

// QueueOptions configure [NewQueue] and [StreamConfig]. A nil *QueueOptions means the defaults.
type QueueOptions struct {
	// Prefix starts the names of streams and their subjects: 1 to 32 letters, digits and - of ASCII. It defaults to "queue".
	Prefix string
	// Replicas is on how many servers each message is, 1, the default, 3 or 5. 3 make [pubsub.Replicated].
	Replicas int
	// Storage is where servers keep messages: jetstream.FileStorage, the default, or jetstream.MemoryStorage.
	Storage jetstream.StorageType
	// MaxAge is when a message is removed, whether all groups have settled it or not: from 1 s, and DedupeWindow, on. It defaults to
	// 7 days; negative means never. A delay must be shorter.
	MaxAge time.Duration
	// MaxBytes is how much a topic keeps: beyond it the oldest messages are removed, settled or not, and delayed ones too. 0, the
	// default, means no limit.
	MaxBytes int64
	// MaxMsgs is the same as a number of messages.
	MaxMsgs int64
	// DedupeWindow is for how long IDs are remembered, 100 ms to 24 h. It defaults to 2 minutes.
	DedupeWindow time.Duration
	// Partitions is how many parts a topic has, up to 256. 0, the default, means that consumers share it. It cannot be changed
	// once a topic is in use.
	Partitions int
}

// Queue is a [pubsub.QueueBackend] in JetStream. NewQueue makes it. It has one subscription for the answers to what it sends, which
// ends with the connection.
//
// # Guarantees
//
// A topic is a stream, a group a durable consumer of it, or one for each of its Partitions. Publish returns nil when the stream's leader
// has acknowledged every message: with three replicas they are on a majority ([pubsub.Replicated]), else with one server
// ([pubsub.Buffered]). Servers acknowledge before they sync to disk, unless their sync_interval is "always", which clients are not told:
// without that a power loss of that server, or of a majority at once, can lose what was acknowledged since the last sync.
//
// A batch is published in its order. When some of it could not be stored, what is published again comes after the rest.
//
// Messages are removed by MaxAge, MaxBytes and MaxMsgs alone, whether they are settled or not; a group that is new begins with the
// oldest one kept. Dead letters are in a stream of their own and stay until they are redriven or removed by hand. A letter is stored
// once, also when Bury is repeated, for an hour even if it was redriven meanwhile; a consumer that dies between the letter and the
// settlement leaves both, and the message is delivered once more.
//
// A lease is kept by the server's clock, which must not jump, and is judged here by this process's: the answer to an extension counts
// only if it came before the lease that it extends had ended, since servers answer for any message, whoever has it. After the leader of a consumer was cut
// off it answers for some 10 to 20 seconds more, and a message that it extended may be handed out twice: fence with
// [pubsub.Delivery.Token]. Tokens are delivery sequences, counted from when the consumer was made. A single server that crashes may repeat the last ones, and
// their counts of deliveries. Ack returns nil when the server has answered the last of its messages, which it handles in
// their order; what a change of leaders in the midst of them loses comes again.
//
// With Partitions one consumer of a group is pinned to a partition by the server. Once it has died another one is after one and a half
// leases. Servers hand out again in an order of their own, so who gets a partition, or messages of it again, or has lost a connection,
// hands on nothing of it until all that is handed out and not settled is here, for one and a half leases at the most. The pin is
// in the memory of the consumer's leader: after that has changed, another may get a partition while the former owner is alive; it
// waits in the same way for what that one has, and its tokens are greater. Shares are fair among consumers that hear each other's greetings, sent every quarter of a
// lease over core NATS; nothing else depends on those.
//
// # Limits
//
// nats-server 2.10 or later; 2.11 for Partitions; 2.12 for delays, whose granularity is 250 ms by the clock of the stream's
// leader, and which take a stream with allow_msg_schedules. The longest message is the server's max_payload, or less if the stream says so, less 2 KiB,
// with its headers. Released messages count as delivered. A message whose lease has ended counts as pending in Stats until it
// is handed out again. The lease of a group is the longest that a consumer has joined with: lower it with `nats consumer edit`. With
// Partitions up to twice the Prefetch, and one for each, are here at a time, and while what a former owner had comes again that too.
//
// A client that cannot write, since its connection is stuck and its buffers are full, sends late: of what Publish could not send
// before its context ended one message, and what the client had buffered, may be stored afterwards.
//
// # Names
//
// Topic orders.new has the stream queue_orders_new with the subjects queue.orders_new.>: m.<partition> is for all groups,
// m.<partition>.<group> for one, and d.<random> is delayed. Its dead letters are in queue_orders_new=dead, with the subjects
// queue.orders_new=dead.<group>.<sequence>.<time>. Letters, digits and - are kept as they are, a dot becomes _, other bytes =2F; the rest
// of a topic that is too long becomes its SHA-256. Consumers are called <group> or <group>=<partition>. Greetings go to
// queue.orders_new=members.<group>, which no stream keeps.
//
// Users with restricted permissions need these subjects, their inboxes, $JS.ACK.<stream>.>, and of the API INFO, STREAM.INFO, STREAM.CREATE,
// STREAM.MSG.GET and STREAM.MSG.DELETE, CONSUMER.INFO, CONSUMER.CREATE, CONSUMER.MSG.NEXT and CONSUMER.UNPIN. Streams that exist, made with [StreamConfig] and
// [DeadStreamConfig], are not made.
type Queue struct {
	js    jetstream.JetStream
	nc    *nats.Conn
	api   string // starts the subjects of requests
	o     QueueOptions
	err   error
	calls *queueCalls

	mu     sync.Mutex
	level  int // of the API, -1 until it is known
	topics map[string]*queueTopic
}

// NewQueue returns a Queue over js. It does no I/O. The client stays the caller's; let it reconnect for ever. A nil client and bad
// options are reported by every call.
func NewQueue(js jetstream.JetStream, o *QueueOptions) *Queue {
	q := &Queue{js: js, level: -1, topics: map[string]*queueTopic{}}
	q.o, q.err = o.filled()
	if v := reflect.ValueOf(js); js == nil || v.Kind() == reflect.Pointer && v.IsNil() {
		q.err = fmt.Errorf("%w: nil client", pubsub.ErrInvalid)
		return q
	}
	q.nc, q.api = js.Conn(), queueAPI(js.Options())
	q.calls = &queueCalls{nc: q.nc}
	return q
}

func queueAPI(o jetstream.JetStreamOptions) string {
	switch {
	case o.Domain != "":
		return "$JS." + o.Domain + ".API."
	case o.APIPrefix != "":
		return strings.TrimSuffix(o.APIPrefix, ".") + "."
	}
	return jetstream.DefaultAPIPrefix
}

// filled returns the options with their defaults, and what is wrong with them.
func (o *QueueOptions) filled() (QueueOptions, error) {
	if o == nil {
		o = new(QueueOptions)
	}
	f := *o
	f.Prefix = cmp.Or(o.Prefix, defaultQueuePrefix)
	f.Replicas = cmp.Or(o.Replicas, 1)
	f.DedupeWindow = cmp.Or(o.DedupeWindow, defaultDedupeWindow)
	f.MaxAge = cmp.Or(o.MaxAge, defaultMaxAge)
	if f.MaxAge < 0 {
		f.MaxAge = 0
	}
	var errs []error
	want := func(ok bool, name string, value any, rule string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%w: %s %v: want %s", pubsub.ErrInvalid, name, value, rule))
		}
	}
	want(len(f.Prefix) <= maxQueuePrefix && !strings.ContainsFunc(f.Prefix, func(r rune) bool {
		return r != '-' && (r > 'z' || !queueAlphanumeric(byte(r)))
	}), "Prefix", fmt.Sprintf("%.40q", f.Prefix), "1 to 32 letters, digits and - of ASCII")
	want(f.Replicas == 1 || f.Replicas == 3 || f.Replicas == maxReplicas, "Replicas", f.Replicas, "1, 3 or 5")
	want(f.Storage == jetstream.FileStorage || f.Storage == jetstream.MemoryStorage, "Storage", int(f.Storage), "FileStorage or MemoryStorage")
	want(f.DedupeWindow >= 100*time.Millisecond && f.DedupeWindow <= 24*time.Hour, "DedupeWindow", f.DedupeWindow, "100ms to 24h")
	want(f.MaxAge == 0 || f.MaxAge >= time.Second && f.MaxAge >= f.DedupeWindow, "MaxAge", f.MaxAge, "1s and the DedupeWindow at least, or a negative one")
	want(f.MaxBytes >= 0, "MaxBytes", f.MaxBytes, "0 or more")
	want(f.MaxMsgs >= 0, "MaxMsgs", f.MaxMsgs, "0 or more")
	want(f.Partitions >= 0 && f.Partitions <= maxPartitions, "Partitions", f.Partitions, "0 to 256")
	return f, errors.Join(errs...)
}

// Info implements pubsub.QueueBackend. It asks the server what it can do, once. Durability is what the options ask for: topics
// whose streams promise less are refused.
func (q *Queue) Info(ctx context.Context) (pubsub.QueueInfo, error) {
	i := pubsub.QueueInfo{Durability: pubsub.Buffered, DedupeWindow: q.o.DedupeWindow, Partitions: q.o.Partitions}
	switch {
	case q.err != nil:
		return pubsub.QueueInfo{}, fmt.Errorf("natspubsub: info: %w", q.err)
	case q.o.Storage == jetstream.MemoryStorage:
		i.Durability = pubsub.Volatile
	case q.o.Replicas >= 3:
		i.Durability = pubsub.Replicated
	}
	level, err := q.apiLevel(ctx)
	if err != nil {
		return pubsub.QueueInfo{}, fmt.Errorf("natspubsub: info: %w", err)
	}
	i.Delays = level >= schedulesLevel
	return i, nil
}

// schedulesLevel is the level of the API from which servers delay messages: nats-server 2.12.
const schedulesLevel = 2

// apiLevel returns what the server can do. While JetStream is not there, it waits.
func (q *Queue) apiLevel(ctx context.Context) (int, error) {
	q.mu.Lock()
	level := q.level
	q.mu.Unlock()
	if level >= 0 {
		return level, nil
	}
	err := queueRetry(ctx, func(ctx context.Context) error {
		a, err := q.js.AccountInfo(ctx)
		if err == nil {
			level = a.API.Level
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	q.mu.Lock()
	q.level = level
	q.mu.Unlock()
	return level, nil
}

const (
	// queueAttempt is how long one request to the API may take before it is sent again.
	queueAttempt  = 5 * time.Second
	queueMinPause = 10 * time.Millisecond
	queueMaxPause = time.Second
)

// queueRetry calls f until it succeeds, fails for good, or ctx ends.
func queueRetry(ctx context.Context, f func(ctx context.Context) error) error {
	for pause := queueMinPause; ; pause = min(2*pause, queueMaxPause) {
		try, cancel := context.WithTimeout(ctx, queueAttempt)
		err := f(try)
		cancel()
		if err == nil || queueFinal(err) {
			return err
		}
		if !queueSleep(ctx, pause) {
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}

func queueSleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// queueFinal reports whether trying again is of no use.
func queueFinal(err error) bool {
	if e, ok := errors.AsType[*jetstream.APIError](err); ok {
		// 404 is for streams and consumers that have gone meanwhile: they are made again.
		return e.Code < 500 && e.Code != 404
	}
	for _, e := range []error{
		pubsub.ErrInvalid, pubsub.ErrUnsupported, pubsub.ErrClosed, nats.ErrConnectionClosed, nats.ErrConnectionDraining,
		nats.ErrPermissionViolation, nats.ErrAuthorization, nats.ErrMaxPayload,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
