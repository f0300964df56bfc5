package httpretry_test

import (
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/retry/httpretry"
)

const longest = time.Duration(math.MaxInt64)

func asking(value, date string) *http.Response {
	r := &http.Response{StatusCode: 503, Header: http.Header{"Retry-After": {value}}}
	if date != "" {
		r.Header.Set("Date", date)
	}
	return r
}

func TestRetryAfter(t *testing.T) {
	const date = "Wed, 21 Oct 2015 07:28:00 GMT" // of a server whose clock is far off
	for value, want := range map[string]time.Duration{
		"":                                  0,
		"0":                                 0,
		"120":                               2 * time.Minute,
		" 7\t":                              7 * time.Second,
		"007":                               7 * time.Second,
		"9223372037":                        longest,
		"9223372036":                        9223372036 * time.Second,
		"10000000000000":                    longest,
		strings.Repeat("9", 1000):           longest,
		"-5":                                0,
		"+5":                                0,
		"1.5":                               0,
		"1e3":                               0,
		"٣":                                 0,
		"soon":                              0,
		"5, 6":                              0,
		"Wed, 21 Oct 2015 07:29:30 GMT":     90 * time.Second,
		"Wednesday, 21-Oct-15 07:29:30 GMT": 90 * time.Second,
		"Wed Oct 21 07:29:30 2015":          90 * time.Second,
		"Wed, 21 Oct 2015 07:27:00 GMT":     0,
		"Fri, 31 Dec 9999 23:59:59 GMT":     longest,
		"Wed, 21 Oct 2015 07:29:30 CET":     0,
	} {
		require.Equal(t, want, httpretry.RetryAfter(asking(value, date)), value)
	}
	require.Zero(t, httpretry.RetryAfter(&http.Response{}))
}

func TestRetryAfterWithoutDate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := time.Now().Add(time.Minute).UTC().Format(http.TimeFormat)
		require.Equal(t, time.Minute, httpretry.RetryAfter(asking(at, "")))
		require.Equal(t, time.Minute, httpretry.RetryAfter(asking(at, "today")))
	})
}

func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"", "120", "10000000000000", "-1", "Wed, 21 Oct 2015 07:29:30 GMT", "soon"} {
		f.Add(seed, "Wed, 21 Oct 2015 07:28:00 GMT")
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, value, date string) {
		d := httpretry.RetryAfter(asking(value, date))
		require.GreaterOrEqual(t, d, time.Duration(0))
		trimmed := strings.Trim(value, " \t")
		if digits := strings.Trim(trimmed, "0123456789") == ""; digits && trimmed != "" {
			rest := strings.TrimLeft(trimmed, "0")
			if len(rest) > 10 {
				require.Equal(t, longest, d)
			} else if len(rest) < 10 {
				want, err := time.ParseDuration("0" + rest + "s")
				require.NoError(t, err)
				require.Equal(t, want, d)
			}
		}
	})
}
