package redispubsub

import (
	"strings"

	"github.com/concordkit/concord/pubsub"
)

// route is what is subscribed at the server: a channel, or a glob, which is the narrowest that fits all topics of a pattern.
type route struct {
	name string
	glob bool
}

// special are the bytes that mean something in a glob, but for the star, which no topic has.
const special = `?[]\^-`

func routeOf(prefix, pattern string) route {
	if !strings.ContainsAny(pattern, "*>") {
		return route{name: prefix + pattern}
	}
	tokens := strings.Split(pattern, ".")
	for i, t := range tokens {
		switch t {
		case "*", ">":
			tokens[i] = "*" // any bytes, dots too, so what comes is looked at again
		default:
			tokens[i] = escape(t)
		}
	}
	return route{name: escape(prefix) + strings.Join(tokens, "."), glob: true}
}

func escape(s string) string {
	if !strings.ContainsAny(s, special) {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if strings.IndexByte(special, s[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// fits reports whether a channel that came by a glob is a topic of pattern. A channel of others need not be a topic.
func fits(pattern, topic string) bool {
	return pubsub.CheckTopic(topic) == nil && pubsub.Match(pattern, topic)
}
