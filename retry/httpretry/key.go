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
			if strings.EqualFold(name, key) && len(values) > 0 && values[0] != "" {
				return true
			}
		}
	}
	return false
}

// unkeyed returns h, or a copy of it with the names of keys in lower case if it has any.
func unkeyed(h http.Header) http.Header {
	copied := false
	for _, key := range keyNames {
		values, ok := h[key]
		if !ok {
			continue
		}
		if !copied {
			h, copied = h.Clone(), true
		}
		delete(h, key)
		h[strings.ToLower(key)] = values
	}
	return h
}
