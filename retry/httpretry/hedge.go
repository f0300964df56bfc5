package httpretry

import (
	"context"
	"fmt"
	"net/http"

	"github.com/concordkit/concord/retry"
)

// HedgeOptions configure [NewHedge]. A nil *HedgeOptions means the defaults.
type HedgeOptions struct {
	// Base makes the requests. It defaults to http.DefaultTransport.
	Base http.RoundTripper
	// When says when a request is sent once more, and how often. Its Close and Keep are the Hedge's own and must be nil.
	When retry.HedgeOptions[*http.Response]
}

// Hedge is an [http.RoundTripper] that sends a request once more beside the first when the header of the response is late.
// [NewHedge] makes it. It may be used concurrently.
//
// The first response wins, whatever its status; the others are cancelled and their bodies closed before RoundTrip returns.
// Only GET, HEAD, OPTIONS and TRACE without a body, an Upgrade and an idempotency key are hedged, others are passed to
// Base. A [Transport] around a Hedge repeats what fails; a repetition is not hedged. A circuit breaker belongs below, as Base:
// there each request counts, and those that are cancelled do not.
type Hedge struct {
	base http.RoundTripper
	h    *retry.Hedger[*http.Response]
}

// NewHedge returns a Hedge. Where a value of o breaks its rule the error wraps [retry.ErrInvalid].
func NewHedge(o *HedgeOptions) (*Hedge, error) {
	if o == nil {
		o = new(HedgeOptions)
	}
	when := o.When
	if when.Close != nil || when.Keep != nil {
		return nil, fmt.Errorf("httpretry: %w: When with Close or Keep: want nil", retry.ErrInvalid)
	}
	when.Close = closeResponse
	when.Keep = keepResponse
	hedger, err := retry.NewHedger(&when)
	if err != nil {
		return nil, fmt.Errorf("httpretry: %w", err)
	}
	h := &Hedge{o.Base, hedger}
	if h.base == nil {
		h.base = http.DefaultTransport
	}
	return h, nil
}

// RoundTrip implements [http.RoundTripper].
func (h *Hedge) RoundTrip(r *http.Request) (*http.Response, error) {
	if !hedgeable(r) {
		return h.base.RoundTrip(r)
	}
	return retry.Hedge(r.Context(), h.h, func(ctx context.Context) (*http.Response, error) {
		sent := r.WithContext(ctx)
		sent.Header = r.Header.Clone() // each attempt has its own, should Base write into it
		resp, err := h.base.RoundTrip(sent)
		if err == nil && resp == nil {
			return nil, fmt.Errorf("httpretry: Base returned neither a response nor an error")
		}
		if err == nil && resp.Request == sent {
			resp.Request = r
		}
		return resp, err
	})
}

// CloseIdleConnections closes those of Base, as [http.Client.CloseIdleConnections] asks for.
func (h *Hedge) CloseIdleConnections() { closeIdle(h.base) }

func hedgeable(r *http.Request) bool {
	switch r.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return r.URL != nil && bodyless(r) && r.Header.Get("Upgrade") == "" && !keyed(r)
	}
	return false
}

func closeResponse(r *http.Response) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
}

func keepResponse(r *http.Response, release context.CancelFunc) *http.Response {
	if r.Body == nil || r.Body == http.NoBody {
		release()
		return r
	}
	r.Body = leashed(r.Body, release)
	return r
}
