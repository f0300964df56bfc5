package pubsub

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"hash/fnv"
	"io"
	"strings"
	"unicode/utf8"
)

const (
	// MaxTopic is the longest topic and the longest pattern in bytes.
	MaxTopic = 255
	// MaxID is the longest ID and the longest Key in bytes.
	MaxID = 255
)

// Message is what is carried. It is passed on as it is, not copied: leave Header and Data unchanged once it is published, or
// received.
type Message struct {
	// ID tells messages apart. It may be empty, and is at most MaxID bytes of UTF-8 without control characters.
	ID string
	// Key says what the message is about, such as a customer. The same limits apply.
	Key string
	// Topic is where it was published. Publish sets it.
	Topic string
	// Header is for what is not the message's own, such as the trace context.
	Header Header
	// Data is the payload.
	Data []byte
}

// Partition returns in which of n parts of a topic an engine puts m, 0 to n-1: that of its Key, or where that is empty of its ID,
// by the 32-bit FNV-1a hash modulo n.
func (m *Message) Partition(n int) int {
	if n < 2 {
		return 0
	}
	h := fnv.New32a()
	io.WriteString(h, cmp.Or(m.Key, m.ID))
	return int(h.Sum32() % uint32(n))
}

// Header maps names to values. Names are at least one byte of printable ASCII without ":" and space and do not begin with
// "Concord-" or "Nats-"; values are UTF-8 without control characters.
type Header map[string]string

// NewID returns a random ID of 26 characters.
func NewID() string { return rand.Text() }

// CheckMessage reports what is wrong with a message, by an error that wraps [ErrInvalid].
func CheckMessage(m *Message) error {
	if err := checkText("ID", m.ID); err != nil {
		return err
	}
	if err := checkText("Key", m.Key); err != nil {
		return err
	}
	for k, v := range m.Header {
		if k == "" || strings.ContainsFunc(k, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ':' }) {
			return fmt.Errorf("%w: header %.40q: want printable ASCII without a colon or a space", ErrInvalid, k)
		}
		if hasPrefixFold(k, "concord-") || hasPrefixFold(k, "nats-") {
			return fmt.Errorf("%w: header %.40q: that prefix is reserved", ErrInvalid, k)
		}
		if !utf8.ValidString(v) || strings.ContainsFunc(v, control) {
			return fmt.Errorf("%w: header %.40q: value %.40q: want UTF-8 without control characters", ErrInvalid, k, v)
		}
	}
	return nil
}

// checkPublish reports what is wrong with messages to topic.
func checkPublish(topic string, ms []Message) error {
	if err := CheckTopic(topic); err != nil {
		return err
	}
	for i := range ms {
		if err := CheckMessage(&ms[i]); err != nil {
			return fmt.Errorf("message %d of %d to %q: %w", i+1, len(ms), topic, err)
		}
	}
	return nil
}

// CheckGroup reports what is wrong with the name of a group, by an error that wraps [ErrInvalid].
func CheckGroup(group string) error {
	if group == "" || len(group) > MaxGroup || strings.ContainsFunc(group, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	}) {
		return fmt.Errorf("%w: group %.70q: want 1 to %d letters, digits, - and _ of ASCII", ErrInvalid, group, MaxGroup)
	}
	return nil
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

func checkText(name, s string) error {
	if len(s) > MaxID || !utf8.ValidString(s) || strings.ContainsFunc(s, control) {
		return fmt.Errorf("%w: %s %.40q: want at most %d bytes of UTF-8 without control characters", ErrInvalid, name, s, MaxID)
	}
	return nil
}

func control(r rune) bool { return r < ' ' || r == 0x7f }

// CheckTopic reports what is wrong with a topic, by an error that wraps [ErrInvalid].
func CheckTopic(topic string) error { return checkTokens("topic", topic, false) }

// CheckPattern reports what is wrong with a pattern, by an error that wraps [ErrInvalid].
func CheckPattern(pattern string) error { return checkTokens("pattern", pattern, true) }

func checkTokens(what, s string, wild bool) error {
	wrong := func(rule string) error { return fmt.Errorf("%w: %s %.40q: %s", ErrInvalid, what, s, rule) }
	switch {
	case s == "":
		return wrong("it is empty")
	case len(s) > MaxTopic:
		return wrong(fmt.Sprintf("%d bytes: want at most %d", len(s), MaxTopic))
	case !utf8.ValidString(s):
		return wrong("it is not UTF-8")
	case s[0] == '$' || s[0] == '_':
		return wrong("those that begin with $ or _ are the engines'")
	}
	tokens := strings.Split(s, ".")
	for i, t := range tokens {
		switch {
		case t == "":
			return wrong("a token is empty")
		case strings.ContainsFunc(t, func(r rune) bool { return r <= ' ' || r == 0x7f }):
			return wrong("a token has a space or a control character")
		case !strings.ContainsAny(t, "*>"):
		case !wild:
			return wrong("wildcards are for patterns")
		case t == "*":
		case t != ">":
			return wrong("a wildcard is a token of its own")
		case i < len(tokens)-1:
			return wrong("> stands at the end")
		}
	}
	return nil
}

// Match reports whether a topic fits a pattern. Both must be valid.
func Match(pattern, topic string) bool {
	for {
		p, restP, moreP := strings.Cut(pattern, ".")
		t, restT, moreT := strings.Cut(topic, ".")
		switch {
		case p == ">":
			return true
		case p != "*" && p != t:
			return false
		case !moreP || !moreT:
			return moreP == moreT
		}
		pattern, topic = restP, restT
	}
}
