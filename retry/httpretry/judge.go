package httpretry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"

	"github.com/concordkit/concord/retry"
)

// Classify judges a response as [New] does by default. These are failures that are worth another attempt; other statuses
// are the server's answer:
//
//	408, 500, 502, 503, 504  the request may have been applied
//	425, 429                 it was refused, and not applied
//
// Nothing more is proven: a proxy says 502, 503 or 504 also when the server went away with the work done, and servers say
// 408 where work of their own took too long. Whoever knows more of a server wraps this func. Its After is [RetryAfter].
func Classify(r *http.Response) retry.Verdict {
	v := retry.Verdict{Decision: retry.Retry}
	switch r.StatusCode {
	case http.StatusRequestTimeout, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
	case http.StatusTooEarly, http.StatusTooManyRequests:
		v.Applied = retry.NotApplied
	default:
		return retry.Verdict{}
	}
	v.After, v.Reason = RetryAfter(r), strconv.Itoa(r.StatusCode)
	return v
}

// StatusError is what a response that failed is to the policy and its Trace. Callers get it only where their context
// ended while there was a wait for another attempt.
type StatusError struct {
	Code    int           // the status, such as 503
	Applied retry.Applied // what the verdict says
	Reason  string        // what the verdict says
}

// Error implements error.
func (e *StatusError) Error() string { return fmt.Sprintf("httpretry: status %d", e.Code) }

// NotApplied reports whether the status proves that the request was not applied.
func (e *StatusError) NotApplied() bool { return e.Applied == retry.NotApplied }

// failure is how a policy gives up, as callers of net/http expect errors to be.
type failure struct {
	gaveUp *retry.Error
	ended  error // of the caller's context
}

func (f *failure) Error() string { return f.gaveUp.Error() }
func (f *failure) Unwrap() error { return f.gaveUp }

// Timeout is what [net/url.Error] looks for. A caller who leaves after an attempt that timed out has not timed out.
func (f *failure) Timeout() bool {
	if f.gaveUp.Stop == retry.ContextEnded {
		return f.ended == context.DeadlineExceeded
	}
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](f.gaveUp)
	return ok && t.Timeout()
}

// unsentError is an error that is known to come from before the request.
type unsentError struct{ error }

func (e *unsentError) Unwrap() error    { return e.error }
func (e *unsentError) NotApplied() bool { return true }

// idempotent is the default of Options.Idempotent.
func idempotent(r *http.Request) bool {
	switch r.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return keyed(r)
}

// notApplied reports whether err proves that the request was not applied. What an error says of itself is believed before what
// lies below it. Of errors that are joined each must prove it.
func notApplied(err error) bool {
	if _, says := err.(interface{ NotApplied() bool }); says {
		return retry.AppliedOf(err) == retry.NotApplied
	}
	if unsent(err) {
		return retry.AppliedOf(&unsentError{err}) == retry.NotApplied // unless somebody says that the outcome is unknown
	}
	if e, ok := err.(interface{ UnknownOutcome() bool }); ok && e.UnknownOutcome() {
		return false
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return notApplied(e.Unwrap())
	case interface{ Unwrap() []error }:
		errs := e.Unwrap()
		return len(errs) > 0 && !slices.ContainsFunc(errs, func(err error) bool { return !notApplied(err) })
	}
	return false
}

// unsent reports whether err itself, whatever it wraps, is that of a connection that was not made or a stream that was refused.
func unsent(err error) bool {
	if e, ok := err.(*net.OpError); ok {
		return e.Op == "dial"
	}
	var e streamError
	as, ok := err.(interface{ As(any) bool })
	return ok && as.As(&e) && e.Code == refusedStream
}

// streamError has the fields of HTTP/2's own error, which gives itself to any type of that shape (golang/go#53896).
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (e streamError) Error() string { return fmt.Sprintf("stream error: %d", e.Code) }

// refusedStream is REFUSED_STREAM: closed before any processing (RFC 9113, 8.7).
const refusedStream = 7

// hopeless reports whether the next attempt would fail in the same way.
func hopeless(err error) bool {
	if errors.Is(err, http.ErrSchemeMismatch) {
		return true
	}
	_, ok := errors.AsType[*tls.CertificateVerificationError](err)
	return ok
}

// timed reports whether the context of an attempt has a deadline of its own.
func timed(attempt, caller context.Context) bool {
	deadline, ok := attempt.Deadline()
	if !ok {
		return false
	}
	callers, ok := caller.Deadline()
	return !ok || !callers.Equal(deadline)
}
