package natspubsub

import (
	"bytes"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/concordkit/concord/pubsub"
)

// Headers of stored messages. Those of the message itself stand beside them.
const (
	headerID       = "Concord-Id" // where Nats-Msg-Id is another, or is taken away
	headerKey      = "Concord-Key"
	headerAttempts = "Concord-Attempts"
	headerError    = "Concord-Error"
)

const (
	// maxErrorText is how much of an error a dead letter keeps.
	maxErrorText = 1024
	// queueOverhead is more than what a delayed message, a redriven one and a dead letter have in addition.
	queueOverhead = 2048
)

// encodeMessage returns m as it is stored.
func encodeMessage(subject string, m *pubsub.Message) *nats.Msg {
	h := make(nats.Header, len(m.Header)+2)
	for k, v := range m.Header {
		h[k] = []string{escapeHeader(v)}
	}
	if m.Key != "" {
		h[headerKey] = []string{escapeHeader(m.Key)}
	}
	h[jetstream.MsgIDHeader] = []string{escapeHeader(m.ID)}
	return &nats.Msg{Subject: subject, Header: h, Data: bytes.Clone(m.Data)} // it may be sent after the caller has gone
}

// decodeMessage is its inverse.
func decodeMessage(topic string, h nats.Header, data []byte) pubsub.Message {
	m := pubsub.Message{Topic: topic, Data: data, Key: unescapeHeader(h.Get(headerKey))}
	if id, ok := h[headerID]; ok {
		m.ID = unescapeHeader(id[0])
	} else {
		m.ID = unescapeHeader(h.Get(jetstream.MsgIDHeader))
	}
	for k, v := range h {
		if len(v) == 0 || strings.HasPrefix(k, "Nats-") || strings.HasPrefix(k, "Concord-") {
			continue
		}
		if m.Header == nil {
			m.Header = pubsub.Header{}
		}
		m.Header[k] = unescapeHeader(v[0])
	}
	return m
}

// messageSize is at least how many bytes of the server's limit a message takes.
func messageSize(m *nats.Msg) int64 {
	n := len(m.Data) + len("NATS/1.0\r\n\r\n")
	for k, vs := range m.Header {
		for _, v := range vs {
			n += len(k) + len(v) + len(": \r\n")
		}
	}
	return int64(n)
}

// escapeHeader keeps spaces at the ends, which are lost otherwise.
func escapeHeader(s string) string {
	if s == "" || s[0] != ' ' && s[len(s)-1] != ' ' && !strings.Contains(s, "%") {
		return s
	}
	s = strings.ReplaceAll(s, "%", "%25")
	if s[0] == ' ' {
		s = "%20" + s[1:]
	}
	if s[len(s)-1] == ' ' {
		s = s[:len(s)-1] + "%20"
	}
	return s
}

func unescapeHeader(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	return headerUnescaper.Replace(s)
}

var headerUnescaper = strings.NewReplacer("%25", "%", "%20", " ", "%0A", "\n", "%0D", "\r", "%09", "\t")

// errorText makes a header of the text of an error.
func errorText(s string) string {
	if len(s) > maxErrorText {
		s = s[:maxErrorText]
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.ReplaceAll(s, "%", "%25")
	s = strings.NewReplacer("\n", "%0A", "\r", "%0D", "\t", "%09").Replace(s)
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
	for len(s) > maxErrorText { // grown by escapes: never cut one in two
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
		if i := strings.LastIndexByte(s, '%'); i >= 0 && i > len(s)-3 {
			s = s[:i]
		}
	}
	if i := len(s) - len(strings.TrimRight(s, " ")); i > 0 {
		s = s[:len(s)-i]
	}
	return strings.TrimLeft(s, " ")
}

// ackInfo is what the reply subject of a delivery tells.
type ackInfo struct {
	delivered  int
	stream     uint64 // the sequence of the message
	consumer   uint64 // the sequence of the delivery
	timestamp  int64  // when it was stored, in nanoseconds since 1970
	fromServer bool
}

// parseAck reads $JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.<delivery>.<time>.<pending>, which has a domain and an account
// before the stream where there is one.
func parseAck(reply string) (a ackInfo) {
	var parts [12]string
	count := 0
	for part := range strings.SplitSeq(reply, ".") {
		if count < len(parts) {
			parts[count] = part
		}
		count++
	}
	t := parts[:]
	switch {
	case count < 9 || t[0] != "$JS" || t[1] != "ACK":
		return a
	case count == 9:
		t = t[4:]
	case count >= 11:
		t = t[6:]
	default:
		return a
	}
	n, err1 := strconv.Atoi(t[0])
	s, err2 := strconv.ParseUint(t[1], 10, 64)
	c, err3 := strconv.ParseUint(t[2], 10, 64)
	ts, err4 := strconv.ParseInt(t[3], 10, 64)
	return ackInfo{n, s, c, ts, err1 == nil && err2 == nil && err3 == nil && err4 == nil}
}

func (a ackInfo) published() time.Time { return time.Unix(0, a.timestamp) }
