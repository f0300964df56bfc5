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
		if desc.ClientStreams {
			s.a.Done(nil)
			return current, nil
		}
		running = true
		s.current = current
		s.stop = context.AfterFunc(ctx, s.leave)
		return s, nil
	}
	return nil, s.result(s.a.Err())
}

// stream is a stream whose client sends one message. It is repeated until the first thing has come.
type stream struct {
	call
	desc   *grpc.StreamDesc
	opener grpc.Streamer
	opts   []grpc.CallOption
	stop   func() bool // of what waits for the end of the context

	a retry.Attempts // of RecvMsg while it is repeating, else guarded by mu

	mu        sync.Mutex
	current   grpc.ClientStream
	settled   bool // there will be no other attempt
	repeating bool // RecvMsg is between two attempts
	wanted    bool // meanwhile somebody asked for what ends the attempts
	sent      any  // the message, until the attempts have ended
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
		s.answer = err
		s.a.Done(s.judge(ctx, err, nil, f.peer.Addr != nil))
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

// leave ends an attempt whose caller does not want to know any more.
func (s *stream) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.settled && !s.repeating { // between attempts RecvMsg sees the end itself
		s.settle(s.ctx.Err())
		s.a.Next() // which tells the hooks why
	}
}

// settle ends the attempts. The caller holds s.mu.
func (s *stream) settle(err error) {
	s.settled, s.sent = true, nil
	s.a.Done(err)
}

// commit ends the attempts with success.
func (s *stream) commit() {
	s.mu.Lock()
	switch {
	case s.repeating:
		s.wanted = true
	case !s.settled:
		s.settle(nil)
	}
	s.mu.Unlock()
	s.stop()
}

// now returns the stream of the current attempt, and whether it is the last.
func (s *stream) now() (current grpc.ClientStream, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current, s.settled
}

// RecvMsg implements [grpc.ClientStream].
func (s *stream) RecvMsg(m any) error {
	for {
		current, last := s.now()
		err := current.RecvMsg(m)
		if last {
			return err
		}
		if err == nil || err == io.EOF {
			s.commit()
			return err
		}
		if again, err := s.again(current, err); !again {
			s.stop()
			return err
		}
	}
}

// again begins another attempt, or returns what the caller gets.
func (s *stream) again(failed grpc.ClientStream, err error) (bool, error) {
	if !s.repeat() {
		return false, err
	}
	s.answer = err
	s.a.Done(s.judge(s.ctx, err, failed.Trailer(), true))
	for s.a.Next() {
		if current, err := s.open(); err == nil && s.replay(current) {
			return true, nil
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled, s.repeating, s.sent = true, false, nil
	return false, s.result(s.a.Err())
}

// repeat takes the attempts, if there may be another.
func (s *stream) repeat() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repeating = !s.settled
	return s.repeating
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
			s.answer = err
			s.a.Done(s.judge(s.ctx, err, nil, true))
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
	if s.wanted {
		s.settle(nil)
	}
	return nil, false
}

// SendMsg implements [grpc.ClientStream].
func (s *stream) SendMsg(m any) error {
	s.mu.Lock()
	if !s.settled {
		s.sent = m
	}
	current := s.current
	s.mu.Unlock()
	return current.SendMsg(m)
}

// CloseSend implements [grpc.ClientStream].
func (s *stream) CloseSend() error {
	s.mu.Lock()
	s.closed = true
	current := s.current
	s.mu.Unlock()
	return current.CloseSend()
}

// Header implements [grpc.ClientStream]. Once there is one, the call is not repeated.
func (s *stream) Header() (metadata.MD, error) {
	current, _ := s.now()
	md, err := current.Header()
	if err == nil && md != nil {
		s.commit()
	}
	return md, err
}

// Trailer implements [grpc.ClientStream].
func (s *stream) Trailer() metadata.MD {
	current, _ := s.now()
	return current.Trailer()
}

// Context implements [grpc.ClientStream]. Once it is called, the call is not repeated.
func (s *stream) Context() context.Context {
	s.commit()
	current, _ := s.now()
	return current.Context()
}
