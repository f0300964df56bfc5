package natslock

import (
	"encoding/hex"
	"strings"

	"github.com/concordkit/concord/lock"
)

// lineOf returns the key of the line that c joins; the keys of its claims have one token more, the ID. A bare name and a
// directory differ in the first token, and tokens have no dots, so that no line is a prefix of another.
func lineOf(c lock.Claim) string {
	if c.Dir == "" {
		return "n." + token(c.Name)
	}
	return "d." + token(c.Dir) + "." + token(c.Name)
}

// cutKey splits the key of a claim into its line and its ID.
func cutKey(key string) (line, id string) {
	i := strings.LastIndexByte(key, '.')
	return key[:max(i, 0)], key[i+1:]
}

// nameOf returns the name in the key of a line of a directory.
func nameOf(line string) (string, bool) {
	_, t := cutKey(line)
	return untoken(t)
}

const upperHex = "0123456789ABCDEF"

// token encodes any string as one token of a subject that is also a valid key: letters, digits, - and _ as they are, other
// bytes as =2F, the empty string as a lone =.
func token(s string) string {
	if s == "" {
		return "="
	}
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c == '-' || c == '_' || alphanumeric(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'=', upperHex[c>>4], upperHex[c&15]})
		}
	}
	return b.String()
}

// untoken decodes what token has made, and nothing else.
func untoken(t string) (string, bool) {
	if t == "=" {
		return "", true
	}
	var b strings.Builder
	for i := 0; i < len(t); i++ {
		c := []byte{t[i]}
		if c[0] == '=' {
			if i+2 >= len(t) {
				return "", false
			}
			var err error
			if c, err = hex.DecodeString(t[i+1 : i+3]); err != nil {
				return "", false
			}
			i += 2
		}
		b.Write(c)
	}
	s := b.String()
	return s, s != "" && token(s) == t
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

func alphanumericOnly(s string) bool {
	for i := range len(s) {
		if !alphanumeric(s[i]) {
			return false
		}
	}
	return s != ""
}
