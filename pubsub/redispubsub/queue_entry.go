package redispubsub

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/concordkit/concord/pubsub"
)

// encodeHeader writes a header as lines of "name:value", sorted. Neither has control characters, and names have no colons.
func encodeHeader(h pubsub.Header) string {
	if len(h) == 0 {
		return ""
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(h)) {
		b.WriteString(name)
		b.WriteByte(':')
		b.WriteString(h[name])
		b.WriteByte('\n')
	}
	return b.String()
}

func decodeHeader(s string) pubsub.Header {
	if s == "" {
		return nil
	}
	h := pubsub.Header{}
	for line := range strings.SplitSeq(s, "\n") {
		if name, value, ok := strings.Cut(line, ":"); ok {
			h[name] = value
		}
	}
	return h
}

// decodeMessage reads the fields of an entry.
func decodeMessage(topic string, field func(name string) string) pubsub.Message {
	return pubsub.Message{
		ID: field("i"), Key: field("k"), Topic: topic, Header: decodeHeader(field("h")), Data: []byte(field("d")),
	}
}

func textOf(v any) string {
	s, _ := v.(string)
	return s
}

// entryTime returns when an entry was added, by the server's clock.
func entryTime(id string) time.Time {
	ms, _, _ := strings.Cut(id, "-")
	n, _ := strconv.ParseInt(ms, 10, 64)
	return time.UnixMilli(n)
}

// isEntryID reports whether s has the form of an ID in a stream.
func isEntryID(s string) bool {
	ms, n, ok := strings.Cut(s, "-")
	_, err1 := strconv.ParseUint(ms, 10, 64)
	_, err2 := strconv.ParseUint(n, 10, 64)
	return ok && err1 == nil && err2 == nil
}
