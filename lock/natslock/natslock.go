// Package natslock keeps leases in a key-value bucket of NATS JetStream, made once with the settings that [Config] returns.
//
//	js, err := jetstream.New(nc)
//	…
//	locks := lock.New(natslock.New(js, "locks"), nil)
//
// Each claim is a message of its own with a TTL of its own. Its place in line, and its token, is the sequence of its create.
// Who waits follows the line by a consumer, so that a release or an expiry grants with no request from there to holding.
//
// # Guarantees
//
// One holder always ([lock.Consensus]) with three or more replicas on files, while the one server keeps its data
// ([lock.SingleNode]) with fewer, and while none restarts ([lock.Process]) in memory, where sequences, and so tokens, may begin
// anew. Nothing is concluded from an answer or a delivery that is older than the caller's own last message, since any replica
// may answer, also one that lags behind or is cut off.
//
// JetStream acknowledges before it syncs to disk, unless its sync_interval is "always". Without that a power loss that hits a
// majority at once can lose leases and repeat tokens.
//
// # Limits
//
// TTLs are whole seconds, rounded up. A server clock that steps forward by more than the margin ends leases early; one that
// steps back keeps dead ones for longer; the clocks of a cluster must agree within the margin. When the stream's leader is lost or cut off, nothing is granted or renewed until there
// is another one: some 6 to 10 seconds, so that a lease outlives that only with a TTL of about 20 seconds or more. Values are
// limited to 64 KiB, or to what the bucket or the server takes less 512 bytes. SetValue renews the claim by the way.
//
// A client that cannot write, since its connection is stuck and its buffers are full, blocks every call until its FlusherTimeout,
// a minute by default, whatever the context says; so a goroutine waits in place of each call. A claim that another process, or
// another Backend, has acquired cannot be renewed, only released. A release that is repeated after the TTL of its claim, since
// its answer was lost, may report that nothing was there. A copy of an acquire that a network delivers after the claim is gone,
// and after the TTL that this is remembered, holds until its TTL ends, and nobody knows of it. A waiter that missed a release,
// since its consumer was away for a moment, finds it by its next renewal.
//
// It is tested with nats-server 2.15; before 2.11 there are no TTLs of messages. The bucket must be on its own stream, no
// mirror, and its settings are looked at once. Users with restricted permissions need to publish to and to be served by
// $KV.<bucket>.>, with a domain below its prefix too, the API's STREAM.INFO, DIRECT.GET, CONSUMER.CREATE and CONSUMER.DELETE
// of the stream KV_<bucket>, and inboxes.
//
// # Keys and requests
//
// A bare name has the line n.<name>, a name in a directory the line d.<dir>.<name>; the key of a claim is <line>.<id>. Letters,
// digits, - and _ are kept as they are, other bytes as =2F, an empty name as a lone =. The probes of watches are p.<random>.
//
// A free acquire takes 2 requests, or 1 where this process follows the line: while it has more than one claim there, while a
// claim waits, for a second after, and where the line is busy. One that has to wait takes 1 more, to make the consumer. A
// renewal, a release and a new value take 1 each. An acquire that does not wait reads before: 1 when the name is held (3 with
// replicas), 3 when it is free. A line in which claims wait is read anew, with a new consumer, at a renewal: 3. So is a
// directory that is watched, each interval, with 1 more for a probe, which proves that the stream has a majority and that the
// watch still hears.
package natslock

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/concordkit/concord/lock"
)

// Backend keeps leases in a bucket. It has a goroutine and a consumer for each line that it follows, and for each Watch.
type Backend struct {
	js     jetstream.JetStream
	nc     *nats.Conn
	bucket string
	stream string
	api    string // starts the subjects of requests
	root   string // starts the subjects of stored messages
	// publishRoot is root as it is published to: another domain is reached by its API prefix.
	publishRoot string
	err         error
	seen        atomic.Pointer[seen] // nil until the bucket was looked at

	mu     sync.Mutex
	claims map[string]*claim // by key
	counts map[string]int    // claims by line
	lines  map[string]*line  // those followed
	prune  int               // how many claims make it worth to look for dead ones
}

// New returns a Backend that keeps leases in a bucket that [Config] describes. It does no I/O. The client stays the
// caller's. A nil client and a bad name are reported by every call, as is a bucket that is missing or was made otherwise.
func New(js jetstream.JetStream, bucket string) *Backend {
	b := &Backend{
		js:     js,
		bucket: bucket,
		stream: "KV_" + bucket,
		root:   "$KV." + bucket + ".",
		claims: make(map[string]*claim),
		counts: make(map[string]int),
		lines:  make(map[string]*line),
	}
	if v := reflect.ValueOf(js); js == nil || v.Kind() == reflect.Pointer && v.IsNil() {
		b.err = fmt.Errorf("%w: nil client", lock.ErrInvalid)
		return b
	}
	if bucket == "" || strings.ContainsFunc(bucket, notInBucket) {
		b.err = fmt.Errorf("%w: bucket %.40q: want letters, digits, - and _", lock.ErrInvalid, bucket)
	}
	b.nc = js.Conn()
	b.api = apiPrefix(js.Options())
	b.publishRoot = b.root
	if b.api != jetstream.DefaultAPIPrefix {
		b.publishRoot = b.api + b.root
	}
	return b
}

func notInBucket(r rune) bool { return r != '-' && r != '_' && (r > 'z' || !alphanumeric(byte(r))) }

func apiPrefix(o jetstream.JetStreamOptions) string {
	switch {
	case o.Domain != "":
		return "$JS." + o.Domain + ".API."
	case o.APIPrefix != "":
		return strings.TrimSuffix(o.APIPrefix, ".") + "."
	}
	return jetstream.DefaultAPIPrefix
}

// Info implements lock.Backend. It asks for the settings of the bucket.
func (b *Backend) Info(ctx context.Context) (lock.Info, error) {
	err := b.err
	if err == nil {
		err = b.inspect(ctx)
	}
	if err != nil {
		return lock.Info{}, fmt.Errorf("natslock: info: %w", err)
	}
	return b.seen.Load().info, nil
}

// check keeps out what would break a key or a record, and looks at the bucket before its first use. A Locker's claims pass.
func (b *Backend) check(ctx context.Context, c lock.Claim) error {
	switch {
	case b.err != nil:
		return b.err
	case !alphanumericOnly(c.ID):
		return fmt.Errorf("%w: ID %.40q: want letters and digits", lock.ErrInvalid, c.ID)
	case c.Weight < 1 || c.Weight > c.Capacity || c.Capacity > lock.All:
		return fmt.Errorf("%w: weight %d of %d: want 1 to the capacity, at most %d", lock.ErrInvalid, c.Weight, c.Capacity, lock.All)
	}
	return b.ready(ctx)
}

func (b *Backend) ready(ctx context.Context) error {
	if b.err != nil || b.seen.Load() != nil {
		return b.err
	}
	if err := b.inspect(ctx); err != nil {
		return refusal{err} // nothing else was sent
	}
	return nil
}
