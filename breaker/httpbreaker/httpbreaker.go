// Package httpbreaker puts a circuit breaker for each host in front of an HTTP client.
//
//	hosts, err := breaker.NewSet(nil)
//	if err != nil {
//		return err
//	}
//	transport, err := httpbreaker.New(hosts, nil)
//	if err != nil {
//		return err
//	}
//	client := &http.Client{Transport: transport}
//	resp, err := client.Get(url)
//	if errors.Is(err, breaker.ErrOpen) { … } // nothing was sent
//
// An error of the transport is a failure, and so is a response with a status of 500 to 599, which the caller gets as it
// is. The cancellation of a request by its context is neutral; a deadline that has passed is a failure, also that of
// [http.Client.Timeout]. A request ends when its response's header is there; what happens to the body counts for
// nothing.
package httpbreaker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/concordkit/concord/breaker"
)

// Options configure [New]. A nil *Options means the defaults.
type Options struct {
	// Base makes the requests. It defaults to http.DefaultTransport.
	Base http.RoundTripper
	// Key returns the key of a request's breaker in the Set. It defaults to the host of its URL in lower case, with the
	// port if it is not the usual one of its scheme.
	Key func(*http.Request) string
	// Failed says whether a response is a failure. It must not touch the body. It defaults to a status of 500 to 599.
	Failed func(*http.Response) bool
}

// Transport is an [http.RoundTripper]. [New] makes it. It may be used concurrently.
type Transport struct {
	set *breaker.Set
	o   Options
}

// New returns a Transport whose breakers are those of set.
func New(set *breaker.Set, o *Options) (*Transport, error) {
	if set == nil {
		return nil, fmt.Errorf("httpbreaker: %w: nil Set", breaker.ErrInvalid)
	}
	t := &Transport{set: set}
	if o != nil {
		t.o = *o
	}
	if t.o.Base == nil {
		t.o.Base = http.DefaultTransport
	}
	if t.o.Key == nil {
		t.o.Key = host
	}
	if t.o.Failed == nil {
		t.o.Failed = func(r *http.Response) bool { return r.StatusCode >= 500 && r.StatusCode <= 599 }
	}
	return t, nil
}

// host writes in one way what users of one host write in many.
func host(r *http.Request) string {
	name, port := strings.TrimSuffix(strings.ToLower(r.URL.Hostname()), "."), r.URL.Port()
	if port == "" || r.URL.Scheme == "http" && port == "80" || r.URL.Scheme == "https" && port == "443" {
		return name
	}
	return net.JoinHostPort(name, port)
}

// StatusError is what a response that failed is to the breaker, for [breaker.Options.Classify]. Callers do not get it.
type StatusError struct {
	Code int // the status, such as 503
}

// Error implements error.
func (e *StatusError) Error() string { return fmt.Sprintf("httpbreaker: status %d", e.Code) }

// RoundTrip implements [http.RoundTripper]. A request that is refused gets a [*breaker.OpenError].
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL == nil {
		closeBody(r)
		return nil, errors.New("httpbreaker: nil Request.URL")
	}
	var resp *http.Response
	var failed error // of the transport: the caller gets what Base returned
	called := false
	err := t.set.Do(r.Context(), t.o.Key(r), func(context.Context) error {
		called = true
		resp, failed = t.o.Base.RoundTrip(r)
		if failed == nil && resp == nil {
			failed = errors.New("httpbreaker: Base returned neither a response nor an error")
		}
		if failed == nil && t.o.Failed(resp) {
			return &StatusError{resp.StatusCode}
		}
		return failed
	})
	if !called {
		closeBody(r)
		return nil, err
	}
	return resp, failed
}

// CloseIdleConnections closes those of Base, as [http.Client.CloseIdleConnections] asks for.
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.o.Base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// closeBody does what a RoundTripper must, also on errors.
func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
}
