package httpretry

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// leash is the context of a request whose attempt has a timeout. It ends with that of the attempt until the header of the
// response is there, and from then on with that of the caller.
type leash struct {
	context.Context // ends by cancel alone
	attempt         context.Context
	cancel          context.CancelCauseFunc
	free            func() bool
	late            atomic.Bool // it ended by a deadline
}

func hold(attempt context.Context) *leash {
	l := &leash{attempt: attempt}
	l.Context, l.cancel = context.WithCancelCause(context.WithoutCancel(attempt))
	l.free = l.follow(attempt)
	return l
}

// follow ends l with ctx, unless what it returns is called before.
func (l *leash) follow(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		l.late.Store(ctx.Err() == context.DeadlineExceeded)
		l.cancel(context.Cause(ctx))
	})
}

// Deadline implements [context.Context].
func (l *leash) Deadline() (time.Time, bool) { return l.attempt.Deadline() }

// Err implements [context.Context]. Layers below tell by it a timeout from a caller who has left.
func (l *leash) Err() error {
	err := l.Context.Err()
	if err != nil && l.late.Load() {
		return context.DeadlineExceeded
	}
	return err
}

// loosen lets the response live as long as the caller's context and its body. It returns err, or why it is too late.
func (l *leash) loosen(caller context.Context, resp *http.Response, err error) error {
	inTime := l.free()
	if err != nil {
		l.cancel(nil)
		return err
	}
	if !inTime {
		if resp.Body != nil {
			_ = resp.Body.Close()
		}
		return context.Cause(l.attempt)
	}
	if resp.Body == nil || resp.Body == http.NoBody {
		l.cancel(nil)
		return nil
	}
	resp.Body = leashed(resp.Body, l.follow(caller), l.cancel)
	return nil
}

// leashed returns body with a release at its end. One that can be written to, which is a connection after an upgrade, still
// can.
func leashed(body io.ReadCloser, stop func() bool, cancel context.CancelCauseFunc) io.ReadCloser {
	b := &leashedBody{body, func() {
		stop()
		cancel(nil)
	}}
	if w, ok := body.(io.Writer); ok {
		return &leashedConn{b, w}
	}
	return b
}

type leashedBody struct {
	io.ReadCloser
	release func()
}

func (b *leashedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.release()
	}
	return n, err
}

func (b *leashedBody) Close() error {
	defer b.release()
	return b.ReadCloser.Close()
}

type leashedConn struct {
	*leashedBody
	io.Writer
}
