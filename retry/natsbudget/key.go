package natsbudget

import "strings"

const upperHex = "0123456789ABCDEF"

// key encodes any name as one token of a key.
func (p *Pool) key(name string) string {
	var b strings.Builder
	b.WriteString(p.prefix)
	for i := range len(name) {
		if c := name[i]; plain(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'=', upperHex[c>>4], upperHex[c&15]})
		}
	}
	return b.String()
}

func plain(c byte) bool {
	return c == '-' || c == '_' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}
