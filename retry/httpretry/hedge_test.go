package httpretry_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/breaker"
	"github.com/concordkit/concord/breaker/httpbreaker"
	"github.com/concordkit/concord/retry"
	"github.com/concordkit/concord/retry/httpretry"
)

func hedge(t *testing.T, base http.RoundTripper) *httpretry.Hedge {
	t.Helper()
	h, err := httpretry.NewHedge(&httpretry.HedgeOptions{
		Base: base, When: retry.HedgeOptions[*http.Response]{Delay: time.Second},
	})
	require.NoError(t, err)
	return h
}

// latecomer answers the second request at once, and the first late, with its context ended, and a body to close.
type latecomer struct {
	calls  atomic.Int64
	deaf   bool // the first does not heed its context
	first  body
	winner context.Context
}

func (l *latecomer) RoundTrip(r *http.Request) (*http.Response, error) {
	if l.calls.Add(1) > 1 {
		l.winner = r.Context()
		return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("second")), Request: r}, nil
	}
	<-r.Context().Done()
	if l.deaf {
		return &http.Response{StatusCode: 200, Body: &l.first}, nil
	}
	return nil, context.Cause(r.Context())
}

func TestHedge(t *testing.T) {
	for _, deaf := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			l := &latecomer{deaf: deaf}
			r := request(t, "GET", "")
			start := time.Now()
			resp, err := hedge(t, l).RoundTrip(r)
			require.NoError(t, err)
			require.Equal(t, time.Second, time.Since(start))
			require.Same(t, r, resp.Request)
			require.NoError(t, l.winner.Err(), "the winner's context lives as long as its body")
			whole, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.Equal(t, "second", string(whole))
			require.Error(t, l.winner.Err())
			require.Equal(t, deaf, l.first.closed, "the loser's body is closed")
		})
	}
}

func TestWhatIsNotHedged(t *testing.T) {
	for name, change := range map[string]func(*http.Request){
		"POST":    func(r *http.Request) { r.Method = "POST" },
		"PUT":     func(r *http.Request) { r.Method = "PUT" },
		"DELETE":  func(r *http.Request) { r.Method = "DELETE" },
		"CONNECT": func(r *http.Request) { r.Method = "CONNECT" },
		"body":    func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("x")) },
		"key":     func(r *http.Request) { r.Header.Set("Idempotency-Key", "k") },
		"hidden":  func(r *http.Request) { r.Header["idempotency-key"] = []string{"k"} },
		"upgrade": func(r *http.Request) { r.Header.Set("Upgrade", "websocket") },
	} {
		bubble(t, name, func(t *testing.T) {
			var calls atomic.Int64
			h := hedge(t, roundTrip(func(r *http.Request) (*http.Response, error) {
				calls.Add(1)
				time.Sleep(time.Minute)
				return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
			}))
			r := request(t, "GET", "")
			change(r)
			_, err := h.RoundTrip(r)
			require.NoError(t, err)
			require.EqualValues(t, 1, calls.Load())
		})
	}
	_, err := httpretry.NewHedge(&httpretry.HedgeOptions{When: retry.HedgeOptions[*http.Response]{Close: func(*http.Response) {}}})
	require.ErrorIs(t, err, retry.ErrInvalid)
	_, err = httpretry.NewHedge(&httpretry.HedgeOptions{When: retry.HedgeOptions[*http.Response]{Max: -1}})
	require.ErrorIs(t, err, retry.ErrInvalid)
	h, err := httpretry.NewHedge(nil)
	require.NoError(t, err)
	h.CloseIdleConnections()
}

func breakers(t *testing.T, base http.RoundTripper) (http.RoundTripper, *breaker.Set) {
	t.Helper()
	set, err := breaker.NewSet(&breaker.SetOptions{Breaker: breaker.Options{
		Rules: breaker.Rules{FailureRate: -1, Consecutive: 3}, OpenFor: 5 * time.Second, Jitter: -1,
	}})
	require.NoError(t, err)
	guarded, err := httpbreaker.New(set, &httpbreaker.Options{Base: base})
	require.NoError(t, err)
	return guarded, set
}

func TestLoserIsNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set, err := breaker.NewSet(&breaker.SetOptions{Breaker: breaker.Options{Rules: breaker.Rules{FailureRate: 0.5}}})
		require.NoError(t, err)
		for n := range uint64(5) {
			guarded, err := httpbreaker.New(set, &httpbreaker.Options{Base: new(latecomer)})
			require.NoError(t, err)
			resp, err := hedge(t, guarded).RoundTrip(request(t, "GET", ""))
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			counts := set.Get("a").Snapshot()
			require.Equal(t, n+1, counts.Successes)
			require.Zero(t, counts.Failures)
		}
	})
}

func TestBreakerInside(t *testing.T) {
	bubble(t, "counts each attempt, and stops the next", func(t *testing.T) {
		s := statuses(503)
		guarded, set := breakers(t, s)
		tr := transport(t, guarded, &retry.Options{Attempts: 10}, nil)
		_, err := tr.RoundTrip(request(t, "GET", ""))
		require.ErrorIs(t, err, breaker.ErrOpen)
		require.Equal(t, 3, s.calls)
		require.Equal(t, breaker.Open, set.Get("a").State())
		gaveUp, ok := errorsAs(err)
		require.True(t, ok)
		require.Equal(t, retry.BreakerOpen, gaveUp.Stop)
		require.False(t, gaveUp.NotApplied(), "earlier attempts were sent")
	})
	bubble(t, "is awaited", func(t *testing.T) {
		s := statuses(503, 503, 503, 200)
		guarded, _ := breakers(t, s)
		tr := transport(t, guarded, &retry.Options{Attempts: 10, AwaitOpen: true, Delay: -1}, nil)
		start := time.Now()
		resp, err := tr.RoundTrip(request(t, "GET", ""))
		require.NoError(t, err)
		require.Equal(t, 200, resp.StatusCode)
		require.Equal(t, 5*time.Second, time.Since(start))
	})
	bubble(t, "is awaited by a POST", func(t *testing.T) {
		s := statuses(200)
		guarded, set := breakers(t, s)
		require.NoError(t, set.Get("a").Trip("test", 5*time.Second))
		tr := transport(t, guarded, &retry.Options{AwaitOpen: true, Delay: -1}, nil)
		resp, err := tr.RoundTrip(request(t, "POST", "x"))
		require.NoError(t, err)
		require.Equal(t, 200, resp.StatusCode)
		require.Equal(t, []string{"x"}, s.sent)
	})
	bubble(t, "counts timeouts of attempts", func(t *testing.T) {
		guarded, set := breakers(t, roundTrip(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, context.Cause(r.Context())
		}))
		_, err := transport(t, guarded, &retry.Options{Timeout: time.Second, Delay: -1}, nil).RoundTrip(request(t, "GET", ""))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, breaker.Open, set.Get("a").State())
	})
}

func TestBreakerOutside(t *testing.T) {
	bubble(t, "counts requests, not attempts", func(t *testing.T) {
		s := statuses(503)
		guarded, set := breakers(t, transport(t, s, nil, nil))
		for n := range 3 {
			require.Equal(t, breaker.Closed, set.Get("a").State(), n)
			resp, err := guarded.RoundTrip(request(t, "GET", ""))
			require.NoError(t, err)
			require.Equal(t, 503, resp.StatusCode)
		}
		require.Equal(t, breaker.Open, set.Get("a").State())
		require.Equal(t, 9, s.calls)
	})
	bubble(t, "is neutral about callers who leave", func(t *testing.T) {
		guarded, set := breakers(t, transport(t, failing(errReset), nil, nil))
		for range 10 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Microsecond, cancel)
			_, err := guarded.RoundTrip(request(t, "GET", "").WithContext(ctx))
			require.Error(t, err)
		}
		require.Equal(t, breaker.Closed, set.Get("a").State())
	})
}
