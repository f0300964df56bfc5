// Package httpretry repeats the requests of an HTTP client, by a [retry.Policy].
//
//	policy, err := retry.New(&retry.Options{Attempts: 4, Timeout: 2 * time.Second})
//	if err != nil {
//		return err
//	}
//	transport, err := httpretry.New(policy, nil)
//	if err != nil {
//		return err
//	}
//	client := &http.Client{Transport: transport}
//	resp, err := client.Get(url) // as ever: the last response, or the last error within a *retry.Error
//
// # What is repeated
//
// An error of the transport, and a response that [Classify] or [Options.Classify] calls a failure. Whether the request
// may be sent again is up to it and to what is known of its fate:
//
//   - GET, HEAD, OPTIONS, TRACE, PUT and DELETE are idempotent, and so is a request with an Idempotency-Key or
//     X-Idempotency-Key that is not empty. [Options.Idempotent] says otherwise.
//   - Other requests are repeated where the first was provably not applied: the server could not be dialled, the stream was
//     refused by an HTTP/2 server, the error says so itself, such as that of an open circuit breaker, or the status is 425 or 429.
//     Of errors that are joined, each has to prove it. A proxy that could not connect, and a handshake that was cut, prove
//     nothing here, and neither does any error where Base follows redirects by itself: then give it no such requests.
//   - CONNECT is sent once, and so is a body that cannot be sent again: one without Request.GetBody that does not fit
//     into [Options.MaxBuffer].
//
// A redirect is a request of its own with attempts of its own, since [http.Client] follows it above this package.
//
// # What the caller gets
//
// The last response, whole and readable, also where it is a failure that nobody repeats any more; earlier ones are
// drained, up to 64 KiB and for 100 ms, and closed before the next attempt. Only where the context of the request ends
// between two attempts the response, which can no longer be read, gives way to an error that wraps a [*StatusError].
// Without a response the error wraps a [*retry.Error] with the last error of Base in its tree.
//
// The Timeout of the policy bounds an attempt up to the header of its response. What is read of the body is bounded by the
// request's own context alone, so a long download is not cut short.
//
// The caller's request is not changed; Base gets copies of it.
//
// # Limits
//
// A failed response keeps its connection while the policy waits, since it may be the last one: with few connections per host
// and long waits, other requests wait too. What is read into Options.MaxBuffer is read before the first attempt, and an error of
// it comes back as it is.
//
// The deprecated Request.Cancel is looked at between the attempts, but does not cut short the wait for one. Use contexts.
//
// [http.Transport] replays some requests by itself, below the policy and its budget. It would do so with any request under
// an idempotency key. That is switched off: Base gets the name of such a header in lower case, which is the same to a server
// but not to the transport's rule. So a Base that looks for the key itself must do so without regard to case. What remains are
// GET, HEAD, OPTIONS and TRACE on a kept connection that breaks before the response, and requests that were not written or
// that an HTTP/2 server has told it did not process. Those are safe, but are not counted.
package httpretry

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/concordkit/concord/retry"
)

// Options configure [New]. A nil *Options means the defaults.
type Options struct {
	// Base makes the attempts. It defaults to http.DefaultTransport.
	Base http.RoundTripper
	// Classify judges a response, whose body it must not touch: Retry and Stop make it a failure, which is repeated or not,
	// Unsure makes it a success. An After is waited for, or, where the policy's MaxRetryAfter is shorter, the response is
	// returned at once. The policy's own Classify is asked about errors only. It defaults to [Classify].
	Classify func(*http.Response) retry.Verdict
	// Idempotent says whether a request may be done twice. It is asked about those that failed. It defaults to the rule in the
	// package comment.
	Idempotent func(*http.Request) bool
	// MaxBuffer is how many bytes of a body without Request.GetBody are kept so that it can be sent again, at most 1 GiB. Up to
	// that much is read before the first attempt begins; a longer body is then sent once. 0 means none.
	MaxBuffer int64
	// AttemptHeader is the name of a header that tells the server the number of the attempt, from "2" for the first
	// repetition, such as "Retry-Attempt". Empty means no header.
	AttemptHeader string
}

const maxBuffer = 1 << 30

// Transport is an [http.RoundTripper]. [New] makes it. It may be used concurrently.
type Transport struct {
	policy *retry.Policy
	o      Options
}

// New returns a Transport that repeats by p; nil means the default policy. Where a value of o breaks its rule the error
// wraps [retry.ErrInvalid].
func New(p *retry.Policy, o *Options) (*Transport, error) {
	t := &Transport{policy: p}
	if o != nil {
		t.o = *o
	}
	if t.o.MaxBuffer < 0 || t.o.MaxBuffer > maxBuffer {
		return nil, fmt.Errorf("httpretry: %w: MaxBuffer %d: want 0 to %d", retry.ErrInvalid, t.o.MaxBuffer, maxBuffer)
	}
	if name := t.o.AttemptHeader; name != "" && strings.ContainsFunc(name, notToken) {
		return nil, fmt.Errorf("httpretry: %w: AttemptHeader %q: want the name of a header", retry.ErrInvalid, name)
	}
	if t.o.Base == nil {
		t.o.Base = http.DefaultTransport
	}
	if t.o.Classify == nil {
		t.o.Classify = Classify
	}
	if t.o.Idempotent == nil {
		t.o.Idempotent = idempotent
	}
	return t, nil
}

// notToken reports whether r may not be in the name of a header (RFC 9110, 5.6.2).
func notToken(r rune) bool {
	letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
	return !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

// RoundTrip implements [http.RoundTripper].
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL == nil {
		closeBody(r)
		return nil, errors.New("httpretry: nil Request.URL")
	}
	c, err := t.call(r)
	if err != nil {
		return nil, err
	}
	a := t.policy.Start(r.Context())
	defer a.Cancel()
	for a.Next() {
		a.Done(c.attempt(a.Context(), a.Number()))
	}
	return c.result(a.Err())
}

// CloseIdleConnections closes those of Base, as [http.Client.CloseIdleConnections] asks for.
func (t *Transport) CloseIdleConnections() { closeIdle(t.o.Base) }

func closeIdle(base http.RoundTripper) {
	if c, ok := base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// closeBody does what a RoundTripper must, also on errors.
func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
}
