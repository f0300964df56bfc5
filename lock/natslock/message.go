package natslock

import (
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Headers of JetStream and of its key-value buckets.
const (
	headerTTL       = "Nats-TTL"
	headerExpected  = "Nats-Expected-Last-Subject-Sequence"
	headerRollup    = "Nats-Rollup"
	headerOperation = "KV-Operation"
	headerReason    = "Nats-Marker-Reason"
	headerSubject   = "Nats-Subject"
	headerSequence  = "Nats-Sequence"
	headerUpTo      = "Nats-UpTo-Sequence"
	headerLast      = "Nats-Last-Sequence"
	headerPending   = "Nats-Num-Pending"
)

// message is a stored message. The zero value stands for none.
type message struct {
	key    string
	seq    uint64
	marker bool // says that the key was removed, by us or by its TTL
	ttl    string
	data   []byte
}

func (b *Backend) message(subject string, seq uint64, h nats.Header, data []byte) message {
	return message{
		key:    strings.TrimPrefix(subject, b.root),
		seq:    seq,
		marker: h.Get(headerOperation) != "" || h.Get(headerReason) != "",
		ttl:    h.Get(headerTTL),
		data:   data,
	}
}

// record decodes the claim in m. What has no TTL would live for ever and is none.
func (m message) record() (r record, err error) {
	if r, err = decodeRecord(m.data, m.seq); err == nil {
		_, err = decodeTTL(m.ttl)
	}
	return r, err
}

// claimHeader makes a message live for ttl, and stored only when the last one of its subject has the sequence expect.
func claimHeader(ttl time.Duration, expect uint64) nats.Header {
	return nats.Header{
		headerTTL:      {encodeTTL(ttl)},
		headerExpected: {strconv.FormatUint(expect, 10)},
	}
}

// markerHeader does the same for a message that removes its key. When a marker expires, the server puts no other in its
// place.
func markerHeader(ttl time.Duration, expect uint64) nats.Header {
	h := claimHeader(ttl, expect)
	h[headerOperation] = []string{"PURGE"}
	h[headerRollup] = []string{"sub"}
	return h
}

// probeHeader makes a message vanish soon, without a trace.
var probeHeader = nats.Header{headerTTL: {"1"}, headerOperation: {"PURGE"}}
