package httpbreaker_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/breaker"
	"github.com/concordkit/concord/breaker/httpbreaker"
)

// roundTrip is a server in one func.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(status int) (*http.Response, error) {
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader("body"))}, nil
}

// newClient returns a client whose breakers open at the third failure in a row.
func newClient(t *testing.T, base roundTrip, o httpbreaker.Options) (*http.Client, *breaker.Set) {
	t.Helper()
	set, err := breaker.NewSet(&breaker.SetOptions{
		Breaker: breaker.Options{Rules: breaker.Rules{FailureRate: -1, Consecutive: 3}, Jitter: -1},
	})
	require.NoError(t, err)
	o.Base = base
	transport, err := httpbreaker.New(set, &o)
	require.NoError(t, err)
	return &http.Client{Transport: transport}, set
}

func get(ctx context.Context, c *http.Client, url string) (status int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	resp, err := c.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && string(body) != "body" {
		err = errors.New("the body is not the server's")
	}
	return resp.StatusCode, err
}

func TestStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status := map[string]int{"bad": 503, "good": 404}
		c, set := newClient(t, func(r *http.Request) (*http.Response, error) { return answer(status[r.URL.Host]) }, httpbreaker.Options{})
		for range 3 {
			code, err := get(t.Context(), c, "http://bad/a")
			require.NoError(t, err)
			require.Equal(t, 503, code, "the response is the caller's")
			_, err = get(t.Context(), c, "http://good/a")
			require.NoError(t, err)
		}
		_, err := get(t.Context(), c, "http://bad/b")
		require.ErrorIs(t, err, breaker.ErrOpen)
		open, ok := errors.AsType[*breaker.OpenError](err)
		require.True(t, ok)
		require.Equal(t, "bad", open.Name)
		require.Equal(t, 5*time.Second, open.RetryAfter())
		_, err = get(t.Context(), c, "http://good/a")
		require.NoError(t, err, "404 is no failure, and hosts are apart")

		status["bad"] = 200
		time.Sleep(5 * time.Second)
		_, err = get(t.Context(), c, "http://bad/b")
		require.NoError(t, err)
		require.Equal(t, breaker.Closed, set.Get("bad").State())
	})
}

func TestTransportErrors(t *testing.T) {
	errReset := errors.New("reset")
	c, set := newClient(t, func(*http.Request) (*http.Response, error) { return nil, errReset }, httpbreaker.Options{})
	for range 3 {
		_, err := get(t.Context(), c, "http://a:8080/")
		require.ErrorIs(t, err, errReset)
	}
	require.Equal(t, breaker.Open, set.Get("a:8080").State())
}

func TestCancelAndDeadlineStorms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, set := newClient(t, func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}, httpbreaker.Options{})
		for range 100 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Millisecond, cancel)
			_, err := get(ctx, c, "http://a/")
			require.ErrorIs(t, err, context.Canceled)
		}
		require.Equal(t, breaker.Closed, set.Get("a").State())
		c.Timeout = time.Second
		for range 3 {
			_, err := get(t.Context(), c, "http://a/")
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		require.Equal(t, breaker.Open, set.Get("a").State())
	})
}

func TestOptions(t *testing.T) {
	c, set := newClient(t, func(*http.Request) (*http.Response, error) { return answer(429) }, httpbreaker.Options{
		Key:    func(r *http.Request) string { return r.Method + " " + r.URL.Path },
		Failed: func(r *http.Response) bool { return r.StatusCode == 429 },
	})
	for range 3 {
		_, err := get(t.Context(), c, "http://a/x")
		require.NoError(t, err)
	}
	require.Equal(t, breaker.Open, set.Get("GET /x").State())
	_, err := httpbreaker.New(nil, nil)
	require.ErrorIs(t, err, breaker.ErrInvalid)
}

func TestClassifySeesTheStatus(t *testing.T) {
	set, err := breaker.NewSet(&breaker.SetOptions{Breaker: breaker.Options{
		Rules: breaker.Rules{Consecutive: 1},
		Classify: func(err error) breaker.Outcome {
			if e, ok := errors.AsType[*httpbreaker.StatusError](err); ok && e.Code == 501 {
				return breaker.Success
			}
			return breaker.Failure
		},
	}})
	require.NoError(t, err)
	status := 501
	transport, err := httpbreaker.New(set, &httpbreaker.Options{
		Base: roundTrip(func(*http.Request) (*http.Response, error) { return answer(status) }),
	})
	require.NoError(t, err)
	c := &http.Client{Transport: transport}
	for _, status = range []int{501, 501, 500} {
		require.Equal(t, breaker.Closed, set.Get("a").State())
		_, err = get(t.Context(), c, "http://a/")
		require.NoError(t, err)
	}
	require.Equal(t, breaker.Open, set.Get("a").State())
	require.EqualError(t, &httpbreaker.StatusError{Code: 500}, "httpbreaker: status 500")
}

func TestPanicOfTheBase(t *testing.T) {
	c, set := newClient(t, func(*http.Request) (*http.Response, error) { panic("oh") }, httpbreaker.Options{})
	for range 3 {
		require.Panics(t, func() { _, _ = get(t.Context(), c, "http://a/") })
	}
	require.Equal(t, breaker.Open, set.Get("a").State())
}

// body tells whether it was closed.
type body struct {
	io.Reader
	closed bool
}

func (b *body) Close() error { b.closed = true; return nil }

// A RoundTripper must close the body also where it does not read it.
func TestRefusedBodyIsClosed(t *testing.T) {
	set, err := breaker.NewSet(nil)
	require.NoError(t, err)
	transport, err := httpbreaker.New(set, nil)
	require.NoError(t, err)
	set.Get("a").ForceOpen("test")
	b := &body{Reader: strings.NewReader("x")}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://a/", b)
	require.NoError(t, err)
	_, err = transport.RoundTrip(r)
	require.ErrorIs(t, err, breaker.ErrOpen)
	require.True(t, b.closed)

	b = &body{Reader: strings.NewReader("x")}
	_, err = transport.RoundTrip((&http.Request{Body: b}).WithContext(t.Context()))
	require.Error(t, err)
	require.True(t, b.closed)
	_, err = transport.RoundTrip(&http.Request{})
	require.Error(t, err)
}

func TestRealServer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "body") }))
	set, err := breaker.NewSet(&breaker.SetOptions{Breaker: breaker.Options{Rules: breaker.Rules{Consecutive: 1}}})
	require.NoError(t, err)
	transport, err := httpbreaker.New(set, nil)
	require.NoError(t, err)
	c := &http.Client{Transport: transport}
	code, err := get(t.Context(), c, server.URL)
	require.NoError(t, err)
	require.Equal(t, 200, code)
	server.Close()
	c.CloseIdleConnections()
	_, err = get(t.Context(), c, server.URL)
	require.Error(t, err)
	require.NotErrorIs(t, err, breaker.ErrOpen)
	_, err = get(t.Context(), c, server.URL)
	require.ErrorIs(t, err, breaker.ErrOpen)
}

// One host has one breaker, however its name is written.
func TestOneBreakerPerHost(t *testing.T) {
	c, set := newClient(t, func(*http.Request) (*http.Response, error) { return answer(200) }, httpbreaker.Options{})
	for _, url := range []string{"http://api.example", "http://API.example:80", "https://api.example.:443/x", "http://api.example:8080", "http://[::1]:80"} {
		_, err := get(t.Context(), c, url)
		require.NoError(t, err)
	}
	var keys []string
	for key := range set.All() {
		keys = append(keys, key)
	}
	require.ElementsMatch(t, []string{"api.example", "api.example:8080", "::1"}, keys)
}

// A Base that breaks its contract is an error, not a panic.
func TestNoResponse(t *testing.T) {
	c, _ := newClient(t, func(*http.Request) (*http.Response, error) { return nil, nil }, httpbreaker.Options{})
	_, err := get(t.Context(), c, "http://a")
	require.ErrorContains(t, err, "neither a response nor an error")
}

// A breaker of the same Set around the client is no second one to get past.
func TestSameSetTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, set := newClient(t, func(*http.Request) (*http.Response, error) { return answer(200) }, httpbreaker.Options{})
		require.NoError(t, set.Get("a").Trip("test", time.Second))
		time.Sleep(time.Second)
		require.NoError(t, set.Do(t.Context(), "a", func(ctx context.Context) error {
			_, err := get(ctx, c, "http://a")
			return err
		}))
		require.Equal(t, breaker.Closed, set.Get("a").State())
	})
}
