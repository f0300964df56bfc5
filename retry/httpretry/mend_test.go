package httpretry_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/breaker"
	"github.com/concordkit/concord/retry"
	"github.com/concordkit/concord/retry/httpretry"
)

// Joined errors stand for several sendings of the request.
func TestJoinedErrors(t *testing.T) {
	for _, c := range []struct {
		err   error
		calls int
	}{
		{errors.Join(errReset, errDial), 1},
		{errors.Join(errDial, shaped{2}), 1},
		{errors.Join(errDial, errors.New("unknown")), 1},
		{errors.Join(errDial, errDial), 3},
		{errors.Join(errDial, shaped{7}, verdict{true}), 3},
		{&url.Error{Err: errors.Join(verdict{true}, verdict{false})}, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := failing(c.err)
			_, err := transport(t, s, nil, nil).RoundTrip(request(t, "POST", "x"))
			require.ErrorIs(t, err, c.err)
			require.Equal(t, c.calls, s.calls, "%v", c.err)
		})
	}
}

// What is derived from the context of an attempt ends as it does.
func TestDerivedContexts(t *testing.T) {
	bubble(t, "errors", func(t *testing.T) {
		type key struct{}
		tr := transport(t, roundTrip(func(r *http.Request) (*http.Response, error) {
			one, cancel := context.WithCancel(r.Context())
			defer cancel()
			two, cancel := context.WithTimeout(context.WithValue(r.Context(), key{}, 1), time.Hour)
			defer cancel()
			<-one.Done()
			<-two.Done()
			require.Equal(t, context.DeadlineExceeded, one.Err())
			require.Equal(t, context.DeadlineExceeded, two.Err())
			require.Equal(t, context.DeadlineExceeded, context.Cause(one))
			return nil, one.Err()
		}), &retry.Options{Timeout: time.Second, Attempts: 1}, nil)
		_, err := tr.RoundTrip(request(t, "GET", ""))
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
	bubble(t, "breaker below a hedge", func(t *testing.T) {
		guarded, set := breakers(t, roundTrip(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, context.Cause(r.Context())
		}))
		tr := transport(t, hedge(t, guarded), &retry.Options{Timeout: 500 * time.Millisecond, Delay: -1}, nil)
		_, err := tr.RoundTrip(request(t, "GET", ""))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, breaker.Open, set.Get("a").State())
	})
}

func TestDeadlineOfTheBody(t *testing.T) {
	var kept context.Context
	tr := transport(t, roundTrip(func(r *http.Request) (*http.Response, error) {
		kept = r.Context()
		return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("x"))}, nil
	}), &retry.Options{Timeout: time.Second}, nil)
	resp, err := tr.RoundTrip(request(t, "GET", ""))
	require.NoError(t, err)
	_, bounded := kept.Deadline()
	require.False(t, bounded)
	require.NoError(t, resp.Body.Close())
}

func TestHeaderIsTheAttempts(t *testing.T) {
	r := request(t, "GET", "")
	calls := 0
	_, err := transport(t, roundTrip(func(r *http.Request) (*http.Response, error) {
		calls++
		r.Header.Add("Added", "x")
		require.Len(t, r.Header["Added"], 1)
		return &http.Response{StatusCode: 503, Body: http.NoBody}, nil
	}), &retry.Options{Delay: -1}, nil).RoundTrip(r)
	require.NoError(t, err)
	require.Equal(t, 3, calls)
	require.Empty(t, r.Header)
}

func TestKeyInBothCases(t *testing.T) {
	for _, empty := range [][]string{nil, {""}} {
		s := statuses(200)
		r := request(t, "POST", "x")
		r.Header["Idempotency-Key"] = empty
		r.Header["idempotency-key"] = []string{"k"}
		_, err := transport(t, s, nil, nil).RoundTrip(r)
		require.NoError(t, err)
		require.Equal(t, http.Header{"idempotency-key": {"k"}}, s.seen[0].Header)
	}
}

func TestLeavingIsNoTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(1500*time.Millisecond, cancel)
		tr := transport(t, roundTrip(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, context.Cause(r.Context())
		}), &retry.Options{Timeout: time.Second, Delay: time.Hour, Jitter: retry.NoJitter}, nil)
		_, err := (&http.Client{Transport: tr}).Do(request(t, "GET", "").WithContext(ctx))
		failed, ok := errors.AsType[*url.Error](err)
		require.True(t, ok)
		require.False(t, failed.Timeout())
	})
}

// A body that never comes holds the request no longer than its context.
func TestBufferEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		defer w.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://host", r)
		require.NoError(t, err)
		_, err = transport(t, nil, &retry.Options{}, &httpretry.Options{MaxBuffer: 1 << 20}).RoundTrip(req)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}
