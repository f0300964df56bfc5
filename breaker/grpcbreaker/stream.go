package grpcbreaker

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/concordkit/concord/breaker"
)

// Stream is a [grpc.StreamClientInterceptor].
func (g *Guard) Stream(
	ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	permit, err := allow(g.set.Get(g.o.Key(cc.Target(), method)))
	if err != nil {
		return nil, refused(err)
	}
	defer func() {
		if permit != nil {
			permit.Done(errNoStream)
		}
	}()
	s := &stream{guard: g, ctx: ctx, permit: permit}
	s.ClientStream, err = open(ctx, desc, cc, method, opts...)
	permit = nil
	if err != nil {
		s.judge(err)
		return nil, err
	}
	// A caller that leaves a stream ends its context, as grpc demands. Nothing else may ever be heard of the stream.
	s.stop = context.AfterFunc(ctx, func() {
		defer func() { _ = recover() }() // of Options.Failed: nobody else could, and the process would end
		s.judge(status.FromContextError(ctx.Err()).Err())
	})
	if g.o.Quiet > 0 {
		s.quiet = time.AfterFunc(g.o.Quiet, func() { s.judged.Do(s.permit.Cancel) })
	}
	return s, nil
}

// errNoStream is the outcome of a panic, or of Goexit, while a stream is opened.
var errNoStream = errors.New("grpcbreaker: the stream was not opened")

// allow returns a permit that stays where it is.
func allow(b *breaker.Breaker) (*breaker.Permit, error) {
	permit, err := b.Allow()
	return &permit, err
}

// stream waits for the first thing that tells how its server is.
type stream struct {
	grpc.ClientStream
	guard  *Guard
	ctx    context.Context // the caller's
	permit *breaker.Permit
	judged sync.Once // also makes who comes second wait: what a caller was told has been counted
	stop   func() bool
	quiet  *time.Timer // nil if a stream may be quiet for ever
}

// judge ends the permit with what was heard first. Later it does nothing.
func (s *stream) judge(err error) {
	s.judged.Do(func() {
		defer s.permit.Cancel() // where a func of the caller's panics; does nothing after Done
		switch {
		case err == nil, errors.Is(err, io.EOF):
			s.permit.Done(nil)
		case s.ctx.Err() == context.Canceled:
			s.permit.Cancel()
		default:
			s.permit.Done(s.guard.verdict(s.ctx, err))
		}
	})
}

// RecvMsg implements [grpc.ClientStream].
func (s *stream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	s.judge(err)
	s.stop()
	if s.quiet != nil {
		s.quiet.Stop()
	}
	return err
}

// SendMsg implements [grpc.ClientStream]. After io.EOF the error of the stream comes from RecvMsg.
func (s *stream) SendMsg(m any) error {
	err := s.ClientStream.SendMsg(m)
	if err != nil && !errors.Is(err, io.EOF) {
		s.judge(err)
	}
	return err
}
