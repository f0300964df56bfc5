package httpretry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	// What is drained keeps the connection. A longer body costs more than a new one, and so does a slow one.
	drainLimit = 64 << 10
	drainTime  = 100 * time.Millisecond // it is time of the next attempt
)

func bodyless(r *http.Request) bool { return r.Body == nil || r.Body == http.NoBody }

// buffer reads up to limit bytes of body. It returns a body that has all of it and, if that is no more, what makes more
// of them. The error is that of reading.
func buffer(ctx context.Context, body io.ReadCloser, limit int64) (io.ReadCloser, func() (io.ReadCloser, error), error) {
	stop := context.AfterFunc(ctx, func() { _ = body.Close() }) // ends a read that hangs, where the body heeds that
	kept, err := io.ReadAll(io.LimitReader(body, limit+1))
	if !stop() {
		return nil, nil, fmt.Errorf("httpretry: read the body: %w", context.Cause(ctx))
	}
	if err != nil {
		_ = body.Close()
		return nil, nil, fmt.Errorf("httpretry: read the body: %w", err)
	}
	if int64(len(kept)) > limit {
		return &joinedBody{io.MultiReader(bytes.NewReader(kept), body), body}, nil, nil
	}
	if err := body.Close(); err != nil {
		return nil, nil, fmt.Errorf("httpretry: close the body: %w", err)
	}
	again := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(kept)), nil }
	first, err := again()
	return first, again, err
}

type joinedBody struct {
	io.Reader
	io.Closer
}

// rewind returns the body of another attempt.
func (c *call) rewind() (io.ReadCloser, error) {
	if bodyless(c.r) {
		return c.body, nil
	}
	return c.again()
}

// drain reads what is left of the body of a response, within limits, and closes it.
func drain(body io.ReadCloser, length int64) {
	if length <= drainLimit {
		// To close while another goroutine reads is how a read of net/http is broken off.
		slow := time.AfterFunc(drainTime, func() { _ = body.Close() })
		defer slow.Stop()
		_, _ = io.CopyN(io.Discard, body, drainLimit+1)
	}
	_ = body.Close()
}
