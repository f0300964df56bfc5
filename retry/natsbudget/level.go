package natsbudget

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/concordkit/concord/retry"
)

// level is the state of a bucket: "<tokens> <at>".
type level struct {
	tokens int64 // in billionths, so that a nanosecond brings a whole number of them
	at     int64 // the server's time up to which it is filled, in ns since 1970; 0 means that of the value's own message
}

const token = int64(time.Second)

func full(b retry.Bucket) level { return level{tokens: int64(b.Max) * token} }

func (l level) String() string { return fmt.Sprintf("%d %d", l.tokens, l.at) }

func parse(value []byte) (level, error) {
	tokens, at, _ := strings.Cut(string(value), " ")
	var l level
	var err1, err2 error
	l.tokens, err1 = strconv.ParseInt(tokens, 10, 64)
	l.at, err2 = strconv.ParseInt(at, 10, 64)
	if err1 != nil || err2 != nil || l.tokens < 0 || l.at < 0 {
		return level{}, fmt.Errorf("corrupt value %.40q", value)
	}
	return l, nil
}

// fill adds what has come until now, the time of the value's message. A clock that has stepped back brings nothing, and the
// bucket fills from where it is now.
func (l *level) fill(b retry.Bucket, now time.Time) {
	most := int64(b.Max) * token
	if rate := int64(b.PerSecond); rate > 0 && l.at != 0 {
		missing := max(0, most-l.tokens)
		// Compared first: the product of a long time would overflow.
		if passed := now.UnixNano() - l.at; passed > missing/rate {
			l.tokens += missing
		} else {
			l.tokens += max(0, passed) * rate
		}
	}
	l.tokens, l.at = min(l.tokens, most), now.UnixNano()
}

func (l *level) take(n int) int {
	got := min(int64(n), l.tokens/token)
	l.tokens -= got * token
	return int(got)
}

func (l *level) give(b retry.Bucket, n int) {
	l.tokens = min(l.tokens+int64(min(n, b.Max))*token, int64(b.Max)*token)
}
