package election

import "strings"

// tag stands between the value of a leader and its ID. No ID contains it.
const tag = "\x00id="

// encode returns the value of a leader's claim. Tools that know nothing of this package show its beginning, so the user's
// value comes first; where it says no more than the ID they see that and nothing else.
func encode(id, value string) []byte {
	if value == id {
		return []byte(id)
	}
	return []byte(value + tag + id)
}

// decode is the inverse of encode. Whatever encode has not made is both ID and value.
func decode(b []byte) (id, value string) {
	s := string(b)
	if i := strings.LastIndex(s, tag); i >= 0 && checkID(s[i+len(tag):]) == nil {
		return s[i+len(tag):], s[:i]
	}
	return s, s
}
