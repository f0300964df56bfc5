package httpretry_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/retry"
	"github.com/concordkit/concord/retry/httpretry"
)

// roundTrip is a server in one func.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// body tells how it was used.
type body struct {
	io.Reader
	read, closed bool
}

func (b *body) Read(p []byte) (int, error) {
	b.read = true
	if b.closed {
		return 0, errors.New("closed")
	}
	return b.Reader.Read(p)
}

func (b *body) Close() error { b.closed = true; return nil }

// script answers with one step after the other, the last one again and again.
type script struct {
	steps  []step
	calls  int
	bodies []*body  // of the responses
	sent   []string // bodies of the requests
	seen   []*http.Request
}

type step struct {
	status int
	header http.Header
	err    error
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		sent, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		_ = r.Body.Close()
		s.sent = append(s.sent, string(sent))
	}
	s.seen = append(s.seen, r)
	next := s.steps[min(s.calls, len(s.steps)-1)]
	s.calls++
	if next.err != nil {
		return nil, next.err
	}
	b := &body{Reader: strings.NewReader("body")}
	s.bodies = append(s.bodies, b)
	if next.header == nil {
		next.header = http.Header{}
	}
	return &http.Response{StatusCode: next.status, Header: next.header, Body: b, ContentLength: 4, Request: r}, nil
}

func statuses(codes ...int) *script {
	s := new(script)
	for _, code := range codes {
		s.steps = append(s.steps, step{status: code})
	}
	return s
}

func failing(err error) *script { return &script{steps: []step{{err: err}}} }

func transport(t *testing.T, base http.RoundTripper, p *retry.Options, o *httpretry.Options) *httpretry.Transport {
	t.Helper()
	policy, err := retry.New(p)
	require.NoError(t, err)
	if o == nil {
		o = new(httpretry.Options)
	}
	o.Base = base
	tr, err := httpretry.New(policy, o)
	require.NoError(t, err)
	return tr
}

func request(t *testing.T, method, content string) *http.Request {
	t.Helper()
	var b io.Reader
	if content != "" {
		b = strings.NewReader(content)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, "http://a/", b)
	require.NoError(t, err)
	return r
}

// bubble runs f where waits take no time.
func bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

var (
	errReset = &net.OpError{Op: "read", Err: syscall.ECONNRESET}
	errDial  = &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
)

func TestStatuses(t *testing.T) {
	for code := 200; code < 600; code++ {
		want := map[string]int{http.MethodGet: 1, http.MethodPost: 1}
		switch code {
		case 408, 500, 502, 503, 504:
			want[http.MethodGet] = 3
		case 425, 429:
			want[http.MethodGet], want[http.MethodPost] = 3, 3
		}
		for method, calls := range want {
			synctest.Test(t, func(t *testing.T) {
				s := statuses(code)
				r := request(t, method, "")
				resp, err := transport(t, s, nil, nil).RoundTrip(r)
				require.NoError(t, err)
				require.Equal(t, calls, s.calls, "%s %d", method, code)
				require.Equal(t, code, resp.StatusCode)
				require.Same(t, r, resp.Request)
				whole, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				require.Equal(t, "body", string(whole), "the last response is whole")
				for _, b := range s.bodies[:calls-1] {
					require.True(t, b.closed, "earlier bodies are closed")
					require.Zero(t, b.Reader.(*strings.Reader).Len(), "and drained")
				}
				require.False(t, s.bodies[calls-1].closed)
			})
		}
	}
}

func TestMethods(t *testing.T) {
	for _, c := range []struct {
		method string
		key    http.Header
		err    error
		calls  int
	}{
		{"", nil, errReset, 3},
		{"GET", nil, errReset, 3},
		{"HEAD", nil, errReset, 3},
		{"OPTIONS", nil, errReset, 3},
		{"TRACE", nil, errReset, 3},
		{"PUT", nil, errReset, 3},
		{"DELETE", nil, errReset, 3},
		{"POST", nil, errReset, 1},
		{"PATCH", nil, errReset, 1},
		{"PROPFIND", nil, errReset, 1},
		{"CONNECT", nil, errReset, 1},
		{"CONNECT", nil, errDial, 1},
		{"POST", http.Header{"Idempotency-Key": {"k"}}, errReset, 3},
		{"POST", http.Header{"X-Idempotency-Key": {"k"}}, errReset, 3},
		{"POST", http.Header{"idempotency-key": {"k"}}, errReset, 3},
		{"POST", http.Header{"Idempotency-Key": {""}}, errReset, 1},
		{"POST", http.Header{"Idempotency-Key": nil}, errReset, 1},
		{"POST", nil, errDial, 3},
		{"PATCH", nil, &url.Error{Op: "Get", Err: errDial}, 3},
		{"POST", nil, io.ErrUnexpectedEOF, 1},
		{"POST", nil, syscall.ECONNREFUSED, 1},
		{"GET", nil, &tls.CertificateVerificationError{Err: errors.New("unknown")}, 1},
		{"GET", nil, http.ErrSchemeMismatch, 1},
		{"POST", nil, verdict{notApplied: true}, 3},
		{"POST", nil, errors.Join(verdict{notApplied: false}, errDial), 1},
		{"POST", nil, unknown{errDial}, 1},
		{"POST", nil, errors.Join(errDial, unknown{errDial}), 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := failing(c.err)
			r := request(t, "GET", "")
			r.Method, r.Header = c.method, c.key
			resp, err := transport(t, s, nil, nil).RoundTrip(r)
			require.Nil(t, resp)
			require.ErrorIs(t, err, c.err, "the last error is kept")
			require.Equal(t, c.calls, s.calls, "%s %v %v", c.method, c.key, c.err)
			gaveUp, ok := errors.AsType[*retry.Error](err)
			require.True(t, ok)
			require.Equal(t, c.calls, gaveUp.Attempts)
			require.Equal(t, errors.Is(c.err, errDial) && !errors.As(c.err, new(unknown)) && !errors.As(c.err, new(verdict)) ||
				c.err == verdict{true}, gaveUp.NotApplied(), "%v", c.err)
		})
	}
}

// verdict is an error that says whether anything was done.
type verdict struct{ notApplied bool }

func (v verdict) Error() string    { return "verdict" }
func (v verdict) NotApplied() bool { return v.notApplied }

type unknown struct{ error }

func (u unknown) Unwrap() error      { return u.error }
func (unknown) UnknownOutcome() bool { return true }

func TestBodies(t *testing.T) {
	oneWay := func(r *http.Request) *http.Request { r.GetBody = nil; return r }
	for name, c := range map[string]struct {
		o     httpretry.Options
		r     func(*testing.T) *http.Request
		calls int
	}{
		"rewound":   {httpretry.Options{}, func(t *testing.T) *http.Request { return request(t, "PUT", "content") }, 3},
		"sent once": {httpretry.Options{}, func(t *testing.T) *http.Request { return oneWay(request(t, "PUT", "content")) }, 1},
		"buffered":  {httpretry.Options{MaxBuffer: 7}, func(t *testing.T) *http.Request { return oneWay(request(t, "PUT", "content")) }, 3},
		"too long":  {httpretry.Options{MaxBuffer: 6}, func(t *testing.T) *http.Request { return oneWay(request(t, "PUT", "content")) }, 1},
		"unknown size": {httpretry.Options{MaxBuffer: 6}, func(t *testing.T) *http.Request {
			r := oneWay(request(t, "PUT", "content"))
			r.ContentLength = 0 // with a body: not known
			return r
		}, 1},
	} {
		bubble(t, name, func(t *testing.T) {
			s := statuses(503)
			r := c.r(t)
			before := *r
			resp, err := transport(t, s, nil, &c.o).RoundTrip(r)
			require.NoError(t, err)
			require.Equal(t, 503, resp.StatusCode)
			require.Equal(t, c.calls, s.calls)
			for _, sent := range s.sent {
				require.Equal(t, "content", sent)
			}
			require.True(t, before.Body == r.Body, "the caller's request is not changed")
			require.Equal(t, before.ContentLength, r.ContentLength)
		})
	}
}

func TestRewindFails(t *testing.T) {
	errGone := errors.New("the file is gone")
	for name, s := range map[string]*script{"response": statuses(503), "error": failing(errReset)} {
		bubble(t, name, func(t *testing.T) {
			r := request(t, "PUT", "content")
			r.GetBody = func() (io.ReadCloser, error) { return nil, errGone }
			resp, err := transport(t, s, nil, nil).RoundTrip(r)
			require.Equal(t, 1, s.calls)
			if name == "response" {
				require.NoError(t, err)
				whole, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				require.Equal(t, "body", string(whole))
				return
			}
			require.ErrorIs(t, err, errGone)
			require.ErrorIs(t, err, errReset)
		})
	}
}

func TestBufferFails(t *testing.T) {
	errRead := errors.New("cannot read")
	b := &body{Reader: io.MultiReader(strings.NewReader("x"), failingReader{errRead})}
	r := request(t, "PUT", "")
	r.Body = b
	s := statuses(200)
	_, err := transport(t, s, nil, &httpretry.Options{MaxBuffer: 10}).RoundTrip(r)
	require.ErrorIs(t, err, errRead)
	require.True(t, b.closed)
	require.Zero(t, s.calls)
}

type failingReader struct{ error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.error }

func TestWaits(t *testing.T) {
	ask := func(value string) http.Header { return http.Header{"Retry-After": {value}} }
	bubble(t, "as asked", func(t *testing.T) {
		s := &script{steps: []step{{status: 429, header: ask("7")}, {status: 200}}}
		start := time.Now()
		resp, err := transport(t, s, &retry.Options{Jitter: retry.NoJitter}, nil).RoundTrip(request(t, "POST", "x"))
		require.NoError(t, err)
		require.Equal(t, 200, resp.StatusCode, "NotApplied and a wait are no open breaker here")
		require.Equal(t, 7*time.Second, time.Since(start))
	})
	for _, value := range []string{"31", "10000000000000", "Fri, 31 Dec 9999 23:59:59 GMT"} {
		bubble(t, "capped "+value, func(t *testing.T) {
			s := &script{steps: []step{{status: 503, header: ask(value)}}}
			start := time.Now()
			resp, err := transport(t, s, nil, nil).RoundTrip(request(t, "GET", ""))
			require.NoError(t, err)
			require.Equal(t, 503, resp.StatusCode)
			require.Equal(t, 1, s.calls)
			require.Zero(t, time.Since(start), "too long a wait is not begun")
		})
	}
	bubble(t, "deadline", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		s := &script{steps: []step{{status: 503, header: ask("5")}}}
		resp, err := transport(t, s, nil, nil).RoundTrip(request(t, "GET", "").WithContext(ctx))
		require.NoError(t, err)
		require.Equal(t, 503, resp.StatusCode)
		require.NoError(t, ctx.Err(), "the response comes back while there is time")
		require.False(t, s.bodies[0].closed)
	})
}

func TestTheCallersEnd(t *testing.T) {
	bubble(t, "while waiting", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		s := &script{steps: []step{{status: 503, header: http.Header{"Retry-After": {"7"}}}}}
		_, err := transport(t, s, nil, nil).RoundTrip(request(t, "GET", "").WithContext(ctx))
		require.ErrorIs(t, err, context.Canceled)
		status, ok := errors.AsType[*httpretry.StatusError](err)
		require.True(t, ok)
		require.Equal(t, 503, status.Code)
		require.True(t, s.bodies[0].closed)
	})
	bubble(t, "before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		s, b := statuses(200), &body{Reader: strings.NewReader("x")}
		r := request(t, "PUT", "").WithContext(ctx)
		r.Body = b
		_, err := transport(t, s, nil, &httpretry.Options{MaxBuffer: 1}).RoundTrip(r)
		require.ErrorIs(t, err, context.Canceled)
		require.Zero(t, s.calls)
		require.True(t, b.closed)
		require.False(t, b.read)
	})
	bubble(t, "Request.Cancel", func(t *testing.T) {
		s := failing(errReset)
		r := request(t, "GET", "")
		cancel := make(chan struct{})
		r.Cancel = cancel //lint:ignore SA1019 it is what is tested
		close(cancel)
		_, err := transport(t, s, nil, nil).RoundTrip(r)
		require.ErrorIs(t, err, errReset)
		require.Equal(t, 1, s.calls)
	})
	bubble(t, "http.Client.Timeout", func(t *testing.T) {
		c := &http.Client{Timeout: 10 * time.Second, Transport: transport(t, roundTrip(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, context.Cause(r.Context())
		}), nil, nil)}
		start := time.Now()
		_, err := c.Get("http://a/")
		require.Equal(t, 10*time.Second, time.Since(start))
		timeout, ok := errors.AsType[net.Error](err)
		require.True(t, ok)
		require.True(t, timeout.Timeout())
	})
}

// slow is a body whose one byte comes after a while, unless its context has ended.
type slow struct {
	ctx   context.Context
	after time.Duration
	done  bool
}

func (s *slow) Read(p []byte) (int, error) {
	if s.done {
		return 0, io.EOF
	}
	select {
	case <-time.After(s.after):
		s.done = true
		return copy(p, "x"), nil
	case <-s.ctx.Done():
		return 0, context.Cause(s.ctx)
	}
}

func (s *slow) Close() error { return nil }

func TestTimeout(t *testing.T) {
	policy := &retry.Options{Timeout: time.Second, Delay: -1}
	bubble(t, "of the header", func(t *testing.T) {
		var errs []error
		tr := transport(t, roundTrip(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			errs = append(errs, r.Context().Err())
			return nil, context.Cause(r.Context())
		}), policy, nil)
		start := time.Now()
		_, err := tr.RoundTrip(request(t, "GET", ""))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		timeout, ok := err.(interface{ Timeout() bool })
		require.True(t, ok)
		require.True(t, timeout.Timeout())
		require.Equal(t, 3*time.Second, time.Since(start))
		require.Equal(t, []error{context.DeadlineExceeded, context.DeadlineExceeded, context.DeadlineExceeded}, errs,
			"layers below can tell it from a caller who has left")
	})
	var ctx context.Context
	slowly := roundTrip(func(r *http.Request) (*http.Response, error) {
		ctx = r.Context()
		return &http.Response{StatusCode: 200, Body: &slow{ctx: ctx, after: time.Minute}}, nil
	})
	bubble(t, "not of the body", func(t *testing.T) {
		resp, err := transport(t, slowly, policy, nil).RoundTrip(request(t, "GET", ""))
		require.NoError(t, err)
		whole, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, "x", string(whole))
		require.Error(t, ctx.Err(), "what was kept is released at the end of the body")
	})
	bubble(t, "released by Close", func(t *testing.T) {
		resp, err := transport(t, slowly, policy, nil).RoundTrip(request(t, "GET", ""))
		require.NoError(t, err)
		require.NoError(t, ctx.Err())
		require.NoError(t, resp.Body.Close())
		require.Equal(t, context.Canceled, ctx.Err())
	})
	bubble(t, "the caller's end still is", func(t *testing.T) {
		caller, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		resp, err := transport(t, slowly, policy, nil).RoundTrip(request(t, "GET", "").WithContext(caller))
		require.NoError(t, err)
		_, err = io.ReadAll(resp.Body)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, context.DeadlineExceeded, ctx.Err())
	})
	bubble(t, "no body", func(t *testing.T) {
		for _, none := range []io.ReadCloser{nil, http.NoBody} {
			resp, err := transport(t, roundTrip(func(r *http.Request) (*http.Response, error) {
				ctx = r.Context()
				return &http.Response{StatusCode: 200, Body: none}, nil
			}), policy, nil).RoundTrip(request(t, "HEAD", ""))
			require.NoError(t, err)
			require.Equal(t, none, resp.Body)
			require.Error(t, ctx.Err())
		}
	})
	bubble(t, "too late", func(t *testing.T) {
		b := &body{Reader: strings.NewReader("x")}
		_, err := transport(t, roundTrip(func(r *http.Request) (*http.Response, error) {
			time.Sleep(2 * time.Second) // deaf
			return &http.Response{StatusCode: 200, Body: b}, nil
		}), policy, nil).RoundTrip(request(t, "POST", ""))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.True(t, b.closed)
	})
}

// A body that does not come does not hold up the next attempt.
func TestSlowBodyIsNotDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		tr := transport(t, roundTrip(func(r *http.Request) (*http.Response, error) {
			calls++
			if calls == 1 {
				pr, _ := io.Pipe()
				return &http.Response{StatusCode: 503, Body: pr, ContentLength: -1}, nil
			}
			return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
		}), &retry.Options{Delay: -1}, nil)
		start := time.Now()
		resp, err := tr.RoundTrip(request(t, "GET", ""))
		require.NoError(t, err)
		require.Equal(t, 200, resp.StatusCode)
		require.Equal(t, 100*time.Millisecond, time.Since(start))
	})
}

func TestLongBodyIsNotDrained(t *testing.T) {
	for _, length := range []int64{-1, 1 << 20} {
		long := &body{Reader: bytes.NewReader(make([]byte, 1<<20))}
		tr := transport(t, roundTrip(func(r *http.Request) (*http.Response, error) {
			if long.closed {
				return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
			}
			return &http.Response{StatusCode: 503, Body: long, ContentLength: length}, nil
		}), &retry.Options{Delay: -1}, nil)
		_, err := tr.RoundTrip(request(t, "GET", ""))
		require.NoError(t, err)
		require.True(t, long.closed)
		require.Equal(t, length < 0, long.read)
		require.Greater(t, long.Reader.(*bytes.Reader).Len(), 1<<19)
	}
}

func TestAttemptHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := statuses(503)
		r := request(t, "GET", "")
		r.Header = nil
		_, err := transport(t, s, nil, &httpretry.Options{AttemptHeader: "Retry-Attempt"}).RoundTrip(r)
		require.NoError(t, err)
		var numbers []string
		for _, r := range s.seen {
			numbers = append(numbers, r.Header.Get("Retry-Attempt"))
		}
		require.Equal(t, []string{"", "2", "3"}, numbers)
		require.Nil(t, r.Header)
	})
}

func TestClassify(t *testing.T) {
	for decision, calls := range map[retry.Decision]int{retry.Unsure: 1, retry.Stop: 1, retry.Retry: 3} {
		synctest.Test(t, func(t *testing.T) {
			s := statuses(200)
			budget := new(purse)
			tr := transport(t, s, &retry.Options{Budget: budget}, &httpretry.Options{
				Classify: func(*http.Response) retry.Verdict { return retry.Verdict{Decision: decision} },
			})
			resp, err := tr.RoundTrip(request(t, "GET", ""))
			require.NoError(t, err)
			require.Equal(t, 200, resp.StatusCode)
			require.Equal(t, calls, s.calls)
			require.Equal(t, calls-1, budget.out)
			require.Equal(t, decision == retry.Unsure, budget.in == 1)
		})
	}
}

// purse counts what goes in and out.
type purse struct{ in, out int }

func (p *purse) Deposit()       { p.in++ }
func (p *purse) Withdraw() bool { p.out++; return true }
func (p *purse) Name() string   { return "purse" }

func TestIdempotent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := failing(errReset)
		r := request(t, "POST", "x")
		_, err := transport(t, s, nil, &httpretry.Options{Idempotent: func(asked *http.Request) bool { return asked == r }}).RoundTrip(r)
		require.Error(t, err)
		require.Equal(t, 3, s.calls)
	})
}

// A policy around the client does not multiply, and knows what was not safe to repeat.
func TestNested(t *testing.T) {
	for method, calls := range map[string]int{"GET": 5, "POST": 1} {
		synctest.Test(t, func(t *testing.T) {
			s := failing(errReset)
			tr := transport(t, s, nil, nil)
			err := retry.Do(t.Context(), nil, func(ctx context.Context) error {
				_, err := tr.RoundTrip(request(t, method, "").WithContext(ctx))
				return err
			})
			require.ErrorIs(t, err, errReset)
			require.Equal(t, calls, s.calls)
		})
	}
}

func TestBadInput(t *testing.T) {
	for want, o := range map[string]httpretry.Options{
		"MaxBuffer -1":         {MaxBuffer: -1},
		"MaxBuffer 1073741825": {MaxBuffer: 1<<30 + 1},
		`AttemptHeader "a b"`:  {AttemptHeader: "a b"},
		"AttemptHeader \"é\"":  {AttemptHeader: "é"},
	} {
		_, err := httpretry.New(nil, &o)
		require.ErrorIs(t, err, retry.ErrInvalid)
		require.ErrorContains(t, err, want)
	}
	tr, err := httpretry.New(nil, nil)
	require.NoError(t, err)
	b := &body{}
	_, err = tr.RoundTrip(&http.Request{Body: b})
	require.ErrorContains(t, err, "nil Request.URL")
	require.True(t, b.closed)
	tr = transport(t, roundTrip(func(*http.Request) (*http.Response, error) { return nil, nil }), &retry.Options{Timeout: time.Second, Delay: -1}, nil)
	_, err = tr.RoundTrip(request(t, "GET", ""))
	require.ErrorContains(t, err, "neither a response nor an error")
	tr.CloseIdleConnections()
}

func TestPanicOfTheBase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := transport(t, roundTrip(func(*http.Request) (*http.Response, error) { panic("oh") }), &retry.Options{Timeout: time.Hour}, nil)
		require.PanicsWithValue(t, "oh", func() { _, _ = tr.RoundTrip(request(t, "GET", "")) })
	})
}

func TestAllocations(t *testing.T) {
	resp := &http.Response{StatusCode: 200, Body: http.NoBody}
	base := roundTrip(func(*http.Request) (*http.Response, error) { return resp, nil })
	tr := transport(t, base, nil, nil)
	r := request(t, "GET", "")
	require.LessOrEqual(t, testing.AllocsPerRun(1000, func() { _, _ = tr.RoundTrip(r) }), 2.0, "the copies of the request and its header")
}

// breaking is a server that answers the first request of each connection, reads the second, and hangs up.
func breaking(t *testing.T) (url string, requests *atomic.Int64) {
	requests = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		requests.Add(1)
		first := r.Context().Value(connKey{}).(*atomic.Bool)
		if first.CompareAndSwap(false, true) {
			return
		}
		panic(http.ErrAbortHandler)
	}))
	server.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server = &httptest.Server{Listener: l, Config: &http.Server{
		Handler: server.Config.Handler,
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, new(atomic.Bool))
		},
	}}
	server.Start()
	t.Cleanup(server.Close)
	return server.URL, requests
}

type connKey struct{}

// net/http replays a request with a key on a connection that broke. The policy must know of each attempt.
func TestReplaysAreOff(t *testing.T) {
	post := func(c *http.Client, url string, content io.Reader) error {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, content)
		require.NoError(t, err)
		r.Header.Set("Idempotency-Key", "k")
		resp, err := c.Do(r)
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.Body.Close()
	}
	for name, content := range map[string]func() io.Reader{
		"body":    func() io.Reader { return strings.NewReader("x") },
		"no body": func() io.Reader { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			base := new(http.Transport)
			defer base.CloseIdleConnections()
			url, requests := breaking(t)
			plain := &http.Client{Transport: base}
			require.NoError(t, post(plain, url, content()))
			require.NoError(t, post(plain, url, content()))
			require.EqualValues(t, 3, requests.Load(), "control: the transport replays by itself")

			base.CloseIdleConnections()
			requests.Store(0)
			attempts := 0
			tr := transport(t, base, &retry.Options{Delay: -1, Trace: &retry.Trace{
				Attempt: func(ctx context.Context, n int) (context.Context, func(error)) { attempts++; return ctx, nil },
			}}, nil)
			c := &http.Client{Transport: tr}
			require.NoError(t, post(c, url, content()))
			require.NoError(t, post(c, url, content()))
			require.EqualValues(t, 3, requests.Load())
			require.Equal(t, 3, attempts, "each is an attempt of the policy")
		})
	}
}

func TestKeyReachesTheServer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("Idempotency-Key")+r.Header.Get("X-Idempotency-Key"))
	}))
	defer server.Close()
	c := &http.Client{Transport: transport(t, http.DefaultTransport, nil, nil)}
	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, nil)
		require.NoError(t, err)
		r.Header.Set(name, "k")
		resp, err := c.Do(r)
		require.NoError(t, err)
		got, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, "k", string(got))
		require.Equal(t, http.Header{name: {"k"}}, r.Header, "the caller's request is not changed")
	}
}

func TestConnectionIsKept(t *testing.T) {
	var calls, conns atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) < 3 {
			w.WriteHeader(503)
			_, _ = w.Write(make([]byte, 10_000))
		}
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	base := new(http.Transport)
	defer base.CloseIdleConnections()
	c := &http.Client{Transport: transport(t, base, &retry.Options{Delay: time.Millisecond}, nil)}
	resp, err := c.Get(server.URL)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.EqualValues(t, 3, calls.Load())
	require.EqualValues(t, 1, conns.Load())
}

func TestRefusedConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	attempts := 0
	tr := transport(t, http.DefaultTransport, &retry.Options{Delay: -1, Trace: &retry.Trace{
		Attempt: func(ctx context.Context, n int) (context.Context, func(error)) { attempts++; return ctx, nil },
	}}, nil)
	_, err = (&http.Client{Transport: tr}).Post("http://"+addr, "text/plain", strings.NewReader("x"))
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.Equal(t, 3, attempts, "nothing was sent, so a POST is repeated")
	gaveUp, ok := errors.AsType[*retry.Error](err)
	require.True(t, ok)
	require.True(t, gaveUp.NotApplied())
}

// What an upgrade returns is a connection, also within an attempt with a timeout.
func TestUpgrade(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		line, _ := rw.ReadString('\n')
		_, _ = io.WriteString(conn, line)
	}))
	defer server.Close()
	for _, timeout := range []time.Duration{0, time.Minute} {
		tr := transport(t, http.DefaultTransport, &retry.Options{Timeout: timeout}, nil)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		require.NoError(t, err)
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "echo")
		resp, err := tr.RoundTrip(r)
		require.NoError(t, err)
		require.Equal(t, 101, resp.StatusCode)
		conn, ok := resp.Body.(io.ReadWriteCloser)
		require.True(t, ok)
		_, err = io.WriteString(conn, "hello\n")
		require.NoError(t, err)
		line := make([]byte, 6)
		_, err = io.ReadFull(conn, line)
		require.NoError(t, err)
		require.Equal(t, "hello\n", string(line))
		require.NoError(t, conn.Close())
	}
}

func errorsAs(err error) (*retry.Error, bool) { return errors.AsType[*retry.Error](err) }

// The error of HTTP/2 is told by its fields, which this keeps in step with net/http.
func TestRefusedStream(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	server.EnableHTTP2 = true
	server.Config.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	server.StartTLS()
	defer server.Close()
	attempts := 0
	tr := transport(t, server.Client().Transport, &retry.Options{Delay: -1, Trace: &retry.Trace{
		Attempt: func(ctx context.Context, n int) (context.Context, func(error)) { attempts++; return ctx, nil },
	}}, nil)
	_, err := (&http.Client{Transport: tr}).Post(server.URL, "text/plain", strings.NewReader("x"))
	require.Error(t, err)
	require.Equal(t, 1, attempts, "a stream that was reset by another code may have been applied")
	refused, ok := errors.AsType[streamError](err)
	require.True(t, ok, "%T", errors.Unwrap(errors.Unwrap(errors.Unwrap(err))))
	require.EqualValues(t, 2, refused.Code)

	synctest.Test(t, func(t *testing.T) {
		for code, calls := range map[uint32]int{7: 3, 2: 1} {
			s := failing(shaped{code})
			_, err := transport(t, s, nil, nil).RoundTrip(request(t, "POST", "x"))
			require.Error(t, err)
			require.Equal(t, calls, s.calls)
		}
	})
}

type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (streamError) Error() string { return "stream error" }

// shaped gives itself to what has the fields of an error of HTTP/2, as those do.
type shaped struct{ code uint32 }

func (shaped) Error() string { return "shaped" }

func (s shaped) As(target any) bool {
	v := reflect.ValueOf(target).Elem()
	if v.Kind() != reflect.Struct || v.NumField() != 3 || v.Type().Field(1).Name != "Code" {
		return false
	}
	v.Field(1).SetUint(uint64(s.code))
	return true
}

// Each hop of a redirect has attempts of its own.
func TestRedirect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{steps: []step{
			{status: 503}, {status: 307, header: http.Header{"Location": {"/b"}}}, {status: 503}, {status: 503}, {status: 200},
		}}
		c := &http.Client{Transport: transport(t, s, nil, nil)}
		resp, err := c.Do(request(t, "PUT", "content"))
		require.NoError(t, err)
		require.Equal(t, 200, resp.StatusCode)
		require.Equal(t, "/b", resp.Request.URL.Path)
		require.Equal(t, 5, s.calls)
		require.Equal(t, []string{"content", "content", "content", "content", "content"}, s.sent)
	})
}

// A request without a body may be in use many times at once.
func TestSharedRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := transport(t, roundTrip(func(r *http.Request) (*http.Response, error) {
			r.Header.Set("Written", "by Base")
			return &http.Response{StatusCode: 503, Body: http.NoBody, Request: r}, nil
		}), &retry.Options{Timeout: time.Second}, &httpretry.Options{AttemptHeader: "Retry-Attempt"})
		r := request(t, "POST", "")
		r.Header.Set("Idempotency-Key", "k")
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				resp, err := tr.RoundTrip(r)
				if err != nil || resp.StatusCode != 503 {
					panic("not the response")
				}
			})
		}
		all.Wait()
		require.Equal(t, http.Header{"Idempotency-Key": {"k"}}, r.Header)
	})
}

func BenchmarkFirstTry(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "body") }))
	defer server.Close()
	base := new(http.Transport)
	defer base.CloseIdleConnections()
	policy, err := retry.New(nil)
	require.NoError(b, err)
	tr, err := httpretry.New(policy, &httpretry.Options{Base: base})
	require.NoError(b, err)
	for name, c := range map[string]*http.Client{"plain": {Transport: base}, "retry": {Transport: tr}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				resp, err := c.Get(server.URL)
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		})
	}
}
