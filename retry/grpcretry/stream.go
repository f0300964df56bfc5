package grpcretry

import (
	"context"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/concordkit/concord/retry"
)

// Stream is a [grpc.StreamClientInterceptor].
func (r *Retrier) Stream(
	ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	s := &stream{call: call{r: r, ctx: ctx, method: method, cc: cc}, desc: desc, opener: open, opts: opts, a: r.policy.Start(ctx)}
	running := false
	defer func() {
		if !running {
			s.a.Cancel()
		}
	}()
	for s.a.Next() {
		current, err := s.open()
		if err != nil {
			continue
		}
		running = true
		s.current, s.final = current, desc.ClientStreams
		s.stop = context.AfterFunc(ctx, s.leave)
		return s, nil
	}
	return nil, s.result(s.a.Err())
}

// stream is a stream of which the first thing has not come. Where its client sends one message it is repeated until then.
type stream struct {
	call
	desc   *grpc.StreamDesc
	opener grpc.Streamer
	opts   []grpc.CallOption
	stop   func() bool // of what waits for the end of the context

	a retry.Attempts // of who has set repeating or settled; used without mu, since its hooks may call the stream

	mu        sync.Mutex
	current   grpc.ClientStream
	final     bool // if the current attempt fails, or between two the next, there is no other
	repeating bool // RecvMsg is between two attempts
	settled   bool // there are no more attempts, and the outcome is known
	sent      any  // the message, while it may have to be sent again
	closed    bool // CloseSend was called
}

// open opens the stream of an attempt. Where it cannot, the attempt is over.
func (s *stream) open() (grpc.ClientStream, error) {
	ctx := s.a.Context()
	if _, ok := ctx.Deadline(); ok {
		ctx = &untimed{s.ctx, ctx}
	}
	f := new(fate)
	current, err := s.opener(numbered(ctx, s.a.Number()), s.desc, s.cc, s.method, append(s.opts[:len(s.opts):len(s.opts)], grpc.Peer(&f.peer))...)
	if err != nil {
		s.failed(err, nil, f.peer.Addr != nil)
	}
	return current, err
}

// untimed is the context of an attempt without its timeout.
type untimed struct {
	context.Context // of the caller
	attempt         context.Context
}

// Value implements [context.Context].
func (u *untimed) Value(key any) any { return u.attempt.Value(key) }

// failed ends an attempt. The caller has the attempts.
func (s *stream) failed(err error, trailer metadata.MD, sent bool) {
	s.answer = err
	judged := s.judge(s.ctx, err, trailer, sent)
	s.mu.Lock()
	final := s.final
	s.mu.Unlock()
	if final {
		judged = retry.Permanent(judged)
	}
	s.a.Done(judged)
}

// take gives the caller the attempts to end them, unless somebody else has them.
func (s *stream) take() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.settled || s.repeating {
		return false
	}
	s.settled, s.sent = true, nil
	return true
}

// leave ends an attempt whose caller does not want to know any more.
func (s *stream) leave() {
	if s.take() { // between attempts RecvMsg sees the end itself
		s.a.Done(s.ctx.Err())
		s.a.Next() // which tells the hooks why
	}
}

// succeed ends the attempts.
func (s *stream) succeed() {
	if s.take() {
		s.stop()
		s.a.Done(nil)
	}
}

// lose ends the attempts by an error that is not repeated, and returns what the caller gets.
func (s *stream) lose(err error, trailer metadata.MD) error {
	if !s.take() {
		return err
	}
	s.stop()
	s.failed(err, trailer, true)
	s.a.Next()
	return s.result(s.a.Err())
}

// abort is lose for an error of gRPC itself by which a stream is over that was not to end. It is no answer.
func (s *stream) abort(err error) error {
	if err == nil || err == io.EOF || !s.take() { // after io.EOF RecvMsg tells more
		return err
	}
	s.stop()
	s.answer = err
	s.a.Done(retry.Permanent(err))
	s.a.Next()
	return s.result(s.a.Err())
}

// commit makes the current attempt the last and returns its stream, or between two the next, and returns nil.
func (s *stream) commit() grpc.ClientStream {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.final = true
	if s.repeating {
		return nil
	}
	s.sent = nil
	return s.current
}

// now returns the stream of the current attempt, and whether its outcome is known.
func (s *stream) now() (current grpc.ClientStream, settled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current, s.settled
}

// RecvMsg implements [grpc.ClientStream].
func (s *stream) RecvMsg(m any) error {
	for {
		current, settled := s.now()
		err := current.RecvMsg(m)
		if settled {
			return err
		}
		if err == nil || err == io.EOF {
			s.succeed()
			return err
		}
		if !s.repeat() {
			return s.lose(err, current.Trailer())
		}
		if again, err := s.again(current, err); !again {
			return err
		}
	}
}

// repeat takes the attempts, if there may be another.
func (s *stream) repeat() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.settled || s.final || s.repeating {
		return false
	}
	s.repeating = true
	return true
}

// again begins another attempt, or returns what the caller gets.
func (s *stream) again(failed grpc.ClientStream, err error) (bool, error) {
	s.failed(err, failed.Trailer(), true)
	for s.a.Next() {
		if current, err := s.open(); err == nil && s.replay(current) {
			return true, nil
		}
	}
	s.mu.Lock()
	s.settled, s.repeating, s.sent = true, false, nil
	s.mu.Unlock()
	s.stop()
	return false, s.result(s.a.Err())
}

// replay sends again what was sent, and makes current the stream of the caller. Where it cannot send, the attempt is over.
func (s *stream) replay(current grpc.ClientStream) bool {
	sent, closed := false, false
	for {
		message, half := s.adopt(current, sent, closed)
		var err error
		switch {
		case message != nil:
			err, sent = current.SendMsg(message), true
		case half:
			err, closed = current.CloseSend(), true
		default:
			return true
		}
		if err != nil && err != io.EOF { // after that RecvMsg tells more
			s.failed(err, nil, true)
			return false
		}
	}
}

// adopt makes current the stream of the caller if it has all that was sent, or returns what it has not.
func (s *stream) adopt(current grpc.ClientStream, sent, closed bool) (message any, half bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.sent != nil && !sent:
		return s.sent, false
	case s.closed && !closed:
		return nil, true
	}
	s.current, s.repeating = current, false
	if s.final {
		s.sent = nil
	}
	return nil, false
}

// SendMsg implements [grpc.ClientStream].
func (s *stream) SendMsg(m any) error {
	s.mu.Lock()
	if s.repeating || !s.settled && !s.final {
		s.sent = m
	}
	current := s.current
	s.mu.Unlock()
	return s.abort(current.SendMsg(m))
}

// CloseSend implements [grpc.ClientStream].
func (s *stream) CloseSend() error {
	s.mu.Lock()
	s.closed = true
	current := s.current
	s.mu.Unlock()
	return s.abort(current.CloseSend())
}

// Header implements [grpc.ClientStream]. Once there is one, the call is not repeated.
func (s *stream) Header() (metadata.MD, error) {
	current, _ := s.now()
	md, err := current.Header()
	if err == nil && md != nil {
		s.commit()
	}
	return md, s.abort(err)
}

// Trailer implements [grpc.ClientStream].
func (s *stream) Trailer() metadata.MD {
	current, _ := s.now()
	return current.Trailer()
}

// Context implements [grpc.ClientStream]. Once it is called, no further failure is repeated. While an attempt that failed
// before is being repeated, it is the context of the caller.
func (s *stream) Context() context.Context {
	if current := s.commit(); current != nil {
		return current.Context()
	}
	return s.ctx
}
