package natspubsub

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
)

// maxQueueToken keeps the name of a stream, with its prefix and its suffix, below the 255 bytes of a file name.
const maxQueueToken = 200

const upperHex = "0123456789ABCDEF"

// queueToken encodes a topic as one token of a subject that is also a legal name of a stream. Long ones keep their beginning, and have
// the hash of the whole behind "==", which is in no other.
func queueToken(topic string) string {
	var b strings.Builder
	for i := range len(topic) {
		switch c := topic[i]; {
		case c == '-' || queueAlphanumeric(c):
			b.WriteByte(c)
		case c == '.':
			b.WriteByte('_')
		default:
			b.Write([]byte{'=', upperHex[c>>4], upperHex[c&15]})
		}
	}
	s := b.String()
	if len(s) <= maxQueueToken {
		return s
	}
	sum := sha256.Sum256([]byte(topic))
	tail := "==" + hex.EncodeToString(sum[:])
	return s[:maxQueueToken-len(tail)] + tail
}

func queueAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// stream names and subjects of a topic.
func (o *QueueOptions) stream(topic string) string     { return o.Prefix + "_" + queueToken(topic) }
func (o *QueueOptions) deadStream(topic string) string { return o.stream(topic) + "=dead" }
func (o *QueueOptions) root(topic string) string       { return o.Prefix + "." + queueToken(topic) }
func (o *QueueOptions) deadRoot(topic string) string   { return o.root(topic) + "=dead" }

// subject returns where a message is published, for all groups or for one.
func (o *QueueOptions) subject(topic string, part int, only string) string {
	s := o.root(topic) + ".m." + strconv.Itoa(part)
	if only != "" {
		s += "." + only
	}
	return s
}

// consumer returns the name of the consumer of a partition. No group has "=" in its name.
func (o *QueueOptions) consumer(group string, part int) string {
	if o.Partitions == 0 {
		return group
	}
	return group + "=" + strconv.Itoa(part)
}
