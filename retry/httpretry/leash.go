package httpretry

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// leash is the context of a request whose attempt has a timeout. It ends with that of the attempt until the header of the
// response is there, and from then on with that of the caller. Its Done is not that of the context inside, lest contexts
// derived from it take the error of that one for its own.
type leash struct {
	context.Context // has the values, the cause, and the funcs to call at the end
	attempt, caller context.Context
	cancel          context.CancelCauseFunc // of Context
	free            func() bool
	loose           atomic.Bool // it follows the caller
	once            sync.Once
	err             error // to be read once Context has ended
	done            chan struct{}
}

func hold(attempt, caller context.Context) *leash {
	l := &leash{attempt: attempt, caller: caller, done: make(chan struct{})}
	l.Context, l.cancel = context.WithCancelCause(context.WithoutCancel(attempt))
	l.free = l.follow(attempt)
	return l
}

// follow ends l with ctx, unless what it returns is called before.
func (l *leash) follow(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() { l.end(ctx.Err(), context.Cause(ctx)) })
}

// end sets the error first, since the funcs of Context ask for it.
func (l *leash) end(err, cause error) {
	l.once.Do(func() {
		l.err = err
		l.cancel(cause)
		close(l.done)
	})
}

// release ends l where nobody needs it any more.
func (l *leash) release() { l.end(context.Canceled, nil) }

// Deadline implements [context.Context].
func (l *leash) Deadline() (time.Time, bool) {
	if l.loose.Load() {
		return l.caller.Deadline()
	}
	return l.attempt.Deadline()
}

// Done implements [context.Context].
func (l *leash) Done() <-chan struct{} { return l.done }

// Err implements [context.Context]. Layers below tell by it a timeout from a caller who has left.
func (l *leash) Err() error {
	if l.Context.Err() == nil {
		return nil
	}
	return l.err
}

// AfterFunc is looked for by package context, which then needs no goroutine for what is derived from l.
func (l *leash) AfterFunc(f func()) func() bool { return context.AfterFunc(l.Context, f) }

// loosen lets the response live as long as the caller's context and its body. It returns err, or why it is too late.
func (l *leash) loosen(resp *http.Response, err error) error {
	inTime := l.free()
	if err != nil {
		l.release()
		return err
	}
	if !inTime {
		if resp.Body != nil {
			_ = resp.Body.Close()
		}
		return context.Cause(l.attempt)
	}
	if resp.Body == nil || resp.Body == http.NoBody {
		l.release()
		return nil
	}
	l.loose.Store(true)
	stop := l.follow(l.caller)
	resp.Body = leashed(resp.Body, func() {
		stop()
		l.release()
	})
	return nil
}

// leashed returns body with a release at its end. One that can be written to, which is a connection after an upgrade, still
// can.
func leashed(body io.ReadCloser, release func()) io.ReadCloser {
	b := &leashedBody{body, release}
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
