package redispubsub

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/concordkit/concord/pubsub"
)

// mark begins a message that carries more than its Data. It is no UTF-8, so that no text begins with it. A Data that does is put
// into an envelope too.
const mark = "\xffconcord\x01"

var errEnvelope = errors.New("redispubsub: no envelope")

// encode returns what travels for m: its Data, or an envelope: the mark, ID, Key, the number of headers, each one's name and value,
// all with their length before them, and Data.
func encode(m *pubsub.Message) []byte {
	if m.ID == "" && m.Key == "" && len(m.Header) == 0 && !strings.HasPrefix(string(m.Data[:min(len(m.Data), len(mark))]), mark) {
		return m.Data
	}
	b := make([]byte, 0, size(m))
	b = append(b, mark...)
	b = appendText(b, m.ID)
	b = appendText(b, m.Key)
	b = binary.AppendUvarint(b, uint64(len(m.Header)))
	for _, name := range slices.Sorted(maps.Keys(m.Header)) {
		b = appendText(b, name)
		b = appendText(b, m.Header[name])
	}
	return append(b, m.Data...)
}

// size returns how long the envelope of m is at most.
func size(m *pubsub.Message) int {
	n := len(mark) + len(m.ID) + len(m.Key) + len(m.Data) + 3*binary.MaxVarintLen64
	for name, value := range m.Header {
		n += len(name) + len(value) + 2*binary.MaxVarintLen64
	}
	return n
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decode returns what payload carries. What is no whole envelope is Data.
func decode(payload string) pubsub.Message {
	if rest, ok := strings.CutPrefix(payload, mark); ok {
		if m, err := open(rest); err == nil {
			return m
		}
	}
	return pubsub.Message{Data: []byte(payload)}
}

func open(s string) (m pubsub.Message, err error) {
	if m.ID, s, err = cutText(s); err != nil {
		return m, err
	}
	if m.Key, s, err = cutText(s); err != nil {
		return m, err
	}
	n, s, err := cutNumber(s)
	if err != nil || n > uint64(len(s)) { // a header is longer than a byte
		return m, errEnvelope
	}
	if n > 0 {
		m.Header = make(pubsub.Header)
	}
	for range n {
		var name, value string
		if name, s, err = cutText(s); err != nil {
			return m, err
		}
		if value, s, err = cutText(s); err != nil {
			return m, err
		}
		m.Header[name] = value
	}
	m.Data = []byte(s)
	return m, pubsub.CheckMessage(&m)
}

func cutNumber(s string) (uint64, string, error) {
	n, used := binary.Uvarint([]byte(s[:min(len(s), binary.MaxVarintLen64)]))
	if used <= 0 {
		return 0, "", errEnvelope
	}
	return n, s[used:], nil
}

func cutText(s string) (string, string, error) {
	n, s, err := cutNumber(s)
	if err != nil || n > uint64(len(s)) {
		return "", "", errEnvelope
	}
	return strings.Clone(s[:n]), s[n:], nil
}
