package natspubsub

import (
	"net/url"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/concordkit/concord/pubsub"
)

const (
	keyHeader = "Concord-Key"
	// escapedHeader carries "name=value", both escaped as in a query, where NATS has no way to write them as they are.
	escapedHeader = "Concord-Header"
	// headerFrame is what NATS writes around the lines of a header, and lineFrame around a name and a value.
	headerFrame = len("NATS/1.0\r\n\r\n")
	lineFrame   = len(": \r\n")
)

// plain reports whether m travels without a header.
func plain(m *pubsub.Message) bool { return m.ID == "" && m.Key == "" && len(m.Header) == 0 }

// encode returns what m is in NATS, and its size as the server counts it.
func encode(subject string, m *pubsub.Message) (*nats.Msg, int) {
	h := make(nats.Header, len(m.Header)+2)
	size := len(m.Data) + headerFrame
	add := func(name, value string) {
		if !asIs(name, value) {
			name, value = escapedHeader, url.QueryEscape(name)+"="+url.QueryEscape(value)
		}
		h[name] = append(h[name], value)
		size += len(name) + len(value) + lineFrame
	}
	if m.ID != "" {
		add(nats.MsgIdHdr, m.ID)
	}
	if m.Key != "" {
		add(keyHeader, m.Key)
	}
	for name, value := range m.Header {
		add(name, value)
	}
	return &nats.Msg{Subject: subject, Header: h, Data: m.Data}, size
}

// asIs reports whether NATS leaves a header alone: it refuses some names, and trims values.
func asIs(name, value string) bool {
	return !strings.ContainsAny(name, "\"()/,;<=>?@[\\]{}") && strings.TrimSpace(value) == value
}

// decode reads a header. What other libraries send comes as it is, but for names that a Message cannot have, and for all values
// of a name but the first.
func decode(h nats.Header, m *pubsub.Message) {
	for name, values := range h {
		switch {
		case len(values) == 0:
		case name == escapedHeader:
			for _, v := range values {
				name, value, _ := strings.Cut(v, "=")
				name, err := url.QueryUnescape(name)
				if err != nil {
					continue
				}
				if value, err = url.QueryUnescape(value); err == nil {
					set(m, name, value)
				}
			}
		default:
			set(m, name, values[0])
		}
	}
}

func set(m *pubsub.Message, name, value string) {
	switch {
	case name == nats.MsgIdHdr:
		m.ID = value
	case name == keyHeader:
		m.Key = value
	case reserved(name, "nats-"), reserved(name, "concord-"):
	default:
		if m.Header == nil {
			m.Header = pubsub.Header{}
		}
		m.Header[name] = value
	}
}

func reserved(name, prefix string) bool {
	return len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix)
}
