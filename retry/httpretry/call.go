package httpretry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/concordkit/concord/retry"
)

// call is one call of RoundTrip.
type call struct {
	t     *Transport
	r     *http.Request // of the caller
	body  io.ReadCloser // of the first attempt
	again func() (io.ReadCloser, error)
	once  bool           // the request cannot be sent again
	resp  *http.Response // of the last attempt
	err   error          // of the last attempt
}

func (t *Transport) call(r *http.Request) (call, error) {
	c := call{t: t, r: r, body: r.Body, again: r.GetBody, once: r.Method == http.MethodConnect}
	if c.once || bodyless(r) || r.GetBody != nil {
		return c, nil
	}
	c.once = true
	if limit := t.o.MaxBuffer; limit == 0 || r.ContentLength > limit || r.Context().Err() != nil {
		return c, nil
	}
	var err error
	c.body, c.again, err = buffer(r.Context(), r.Body, t.o.MaxBuffer)
	c.once = c.again == nil
	return c, err
}

// attempt makes attempt n and returns what the policy gets to know of it.
func (c *call) attempt(ctx context.Context, n int) error {
	body := c.body
	if n > 1 {
		var err error
		if body, err = c.rewind(); err != nil {
			return c.stop(fmt.Errorf("httpretry: rewind the body: %w; before: %w", err, c.err))
		}
		c.discard() // after rewind, so that the response is still there where there is no other attempt
	}
	r, l := c.request(ctx, n)
	r.Body = body
	resp, err := c.t.o.Base.RoundTrip(r)
	if err == nil && resp == nil {
		err = errors.New("httpretry: Base returned neither a response nor an error")
	}
	if l != nil {
		err = l.loosen(resp, err)
	}
	if c.err = err; err != nil {
		return c.failed(err)
	}
	if resp.Request == r {
		resp.Request = c.r
	}
	c.resp = resp
	return c.answered()
}

// request returns the copy of the request for attempt n, without its body, and the leash of its context, if it has one.
func (c *call) request(ctx context.Context, n int) (*http.Request, *leash) {
	var l *leash
	if timed(ctx, c.r.Context()) {
		l = hold(ctx, c.r.Context())
		ctx = l
	}
	r := c.r.WithContext(ctx)
	r.Header, r.GetBody = unkeyed(c.r.Header.Clone()), c.again // each has its own, should Base write into it
	if name := c.t.o.AttemptHeader; n > 1 && name != "" {
		if r.Header == nil {
			r.Header = http.Header{}
		}
		r.Header.Set(name, strconv.Itoa(n))
	}
	return r, l
}

// answered judges the response.
func (c *call) answered() error {
	v := c.t.o.Classify(c.resp)
	if v.Decision == retry.Unsure {
		return nil
	}
	c.err = &StatusError{Code: c.resp.StatusCode, Applied: v.Applied, Reason: v.Reason}
	if v.Decision == retry.Stop {
		return retry.Permanent(c.err)
	}
	if err := c.barred(v.Applied == retry.NotApplied); err != nil {
		return c.stop(err)
	}
	return retry.After(c.err, v.After) // marked, lest NotApplied and a wait look like an open breaker
}

// failed judges an error of Base.
func (c *call) failed(err error) error {
	unsent := notApplied(err)
	if hopeless(err) {
		return c.stop(err)
	}
	if err := c.barred(unsent); err != nil {
		return c.stop(err)
	}
	if unsent {
		return &unsentError{err}
	}
	return err
}

// barred returns why the request must not be sent again, or nil.
func (c *call) barred(unsent bool) error {
	switch {
	case cancelled(c.r):
		return fmt.Errorf("httpretry: Request.Cancel was closed: %w", c.err)
	case c.once && c.r.Method == http.MethodConnect:
		return fmt.Errorf("httpretry: CONNECT is not repeated: %w", c.err)
	case c.once:
		return fmt.Errorf("httpretry: the body cannot be sent again: %w", c.err)
	case !unsent && !c.t.o.Idempotent(c.r):
		return fmt.Errorf("httpretry: %s may have been applied: %w", c.r.Method, c.err)
	}
	return nil
}

func (c *call) stop(err error) error {
	if notApplied(c.err) {
		err = &unsentError{err}
	}
	return retry.Permanent(err)
}

// result returns what the caller gets, where the policy ended with err.
func (c *call) result(err error) (*http.Response, error) {
	if err == nil {
		return c.resp, nil
	}
	gaveUp, ok := err.(*retry.Error)
	if ok && gaveUp.Attempts == 0 && c.body != nil {
		_ = c.body.Close()
	}
	if c.resp != nil && !(ok && gaveUp.Stop == retry.ContextEnded) {
		return c.resp, nil
	}
	c.discard()
	if !ok {
		return nil, err
	}
	return nil, &failure{gaveUp, c.r.Context().Err()}
}

// discard frees the connection of the last response.
func (c *call) discard() {
	if c.resp == nil {
		return
	}
	if body := c.resp.Body; body != nil {
		drain(body, c.resp.ContentLength)
	}
	c.resp = nil
}

func cancelled(r *http.Request) bool {
	select {
	case <-r.Cancel: //lint:ignore SA1019 callers may still use it, and http.Client does
		return true
	default:
		return false
	}
}
