package httpretry

import (
	"math"
	"net/http"
	"strings"
	"time"
)

// RetryAfter returns the wait that a response asks for by its Retry-After header, 0 if it asks for none. Both forms are read
// (RFC 9110, 10.2.3): seconds, and a time, which is counted from the response's own Date, so that the clocks need not agree,
// or without one from now. A time that has passed is 0, and so is what is in neither form, such as a negative number; more
// than can be told is the longest [time.Duration].
func RetryAfter(r *http.Response) time.Duration {
	value := strings.Trim(r.Header.Get("Retry-After"), " \t")
	if value == "" {
		return 0
	}
	if d, ok := seconds(value); ok {
		return d
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(r.Header.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return max(0, at.Sub(now))
}

// seconds reads digits, and nothing else.
func seconds(s string) (time.Duration, bool) {
	const most = int64(math.MaxInt64 / time.Second)
	var n int64
	for _, digit := range []byte(s) {
		if digit < '0' || digit > '9' {
			return 0, false
		}
		n = min(n*10+int64(digit-'0'), most+1)
	}
	if n > most {
		return math.MaxInt64, true
	}
	return time.Duration(n) * time.Second, true
}
