package httpretry

import (
	"net/http"
	"strings"
)

// keyNames are the headers by which [http.Transport] thinks that it may replay a request.
var keyNames = [...]string{"Idempotency-Key", "X-Idempotency-Key"}

// keyed reports whether r has an idempotency key.
func keyed(r *http.Request) bool {
	for name, values := range r.Header {
		for _, key := range keyNames {
			if strings.EqualFold(name, key) && filled(values) {
				return true
			}
		}
	}
	return false
}

func filled(values []string) bool { return len(values) > 0 && values[0] != "" }

// unkeyed turns the names of keys in h into lower case, and returns h. Of a key in both cases it keeps the one that is not
// empty.
func unkeyed(h http.Header) http.Header {
	for _, key := range keyNames {
		values, ok := h[key]
		if !ok {
			continue
		}
		delete(h, key)
		if low := strings.ToLower(key); filled(values) || !filled(h[low]) {
			h[low] = values
		}
	}
	return h
}
