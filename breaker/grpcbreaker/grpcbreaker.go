// Package grpcbreaker puts a circuit breaker for each target in front of a gRPC client.
//
//	targets, err := breaker.NewSet(nil)
//	if err != nil {
//		return err
//	}
//	guard, err := grpcbreaker.New(targets, nil)
//	if err != nil {
//		return err
//	}
//	conn, err := grpc.NewClient(addr, guard.DialOptions()...)
//
// A call that ends with Unavailable, DeadlineExceeded, ResourceExhausted, Internal, Unknown or DataLoss is a failure;
// the other codes are the server's answer and a success. The cancellation of a call by its caller is neutral. A stream
// is judged by the first thing that it says: a message, its end, or an error; what comes later counts for nothing,
// since a stream may be meant to live long, and so does one that is quiet for [Options.Quiet]. Where SlowAfter is shorter
// than that, a stream whose first message comes later is slow.
//
// A call that is refused gets an error with the code Unavailable that wraps a [*breaker.OpenError].
package grpcbreaker

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/concordkit/concord/breaker"
)

// Options configure [New]. A nil *Options means the defaults.
type Options struct {
	// Key returns the key of a call's breaker in the Set, from the target of its connection and the full method, such as
	// "/package.Service/Method". It defaults to the target.
	Key func(target, method string) string
	// Failed says whether a code is a failure. It is not asked about OK, nor about what came after the caller had
	// cancelled. It defaults to the six codes above.
	Failed func(codes.Code) bool
	// Quiet is how long a stream may say nothing before it counts for nothing: it may be meant to be quiet. It should be
	// less than the breakers' ProbeTimeout, or a quiet probe is one that hangs. It defaults to 5 s; negative means for
	// ever.
	Quiet time.Duration
}

const defaultQuiet = 5 * time.Second

// Guard makes interceptors. [New] makes it. It may be used concurrently.
type Guard struct {
	set *breaker.Set
	o   Options
}

// New returns a Guard whose breakers are those of set.
func New(set *breaker.Set, o *Options) (*Guard, error) {
	if set == nil {
		return nil, fmt.Errorf("grpcbreaker: %w: nil Set", breaker.ErrInvalid)
	}
	g := &Guard{set: set}
	if o != nil {
		g.o = *o
	}
	if g.o.Key == nil {
		g.o.Key = func(target, _ string) string { return target }
	}
	if g.o.Failed == nil {
		g.o.Failed = failed
	}
	if g.o.Quiet == 0 {
		g.o.Quiet = defaultQuiet
	}
	return g, nil
}

func failed(c codes.Code) bool {
	switch c {
	case codes.Unavailable, codes.DeadlineExceeded, codes.ResourceExhausted, codes.Internal, codes.Unknown, codes.DataLoss:
		return true
	}
	return false
}

// DialOptions returns both interceptors, chained behind those that come before.
func (g *Guard) DialOptions() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithChainUnaryInterceptor(g.Unary), grpc.WithChainStreamInterceptor(g.Stream)}
}

// Unary is a [grpc.UnaryClientInterceptor].
func (g *Guard) Unary(
	ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
) error {
	var answer error
	called := false
	err := g.set.Do(ctx, g.o.Key(cc.Target(), method), func(ctx context.Context) error {
		called = true
		answer = invoke(ctx, method, req, reply, cc, opts...)
		return g.verdict(ctx, answer)
	})
	if !called {
		return refused(err)
	}
	return answer
}

// verdict returns err where it is a failure, or where the caller has cancelled, which the breaker knows by ctx.
func (g *Guard) verdict(ctx context.Context, err error) error {
	if err != nil && (ctx.Err() == context.Canceled || g.o.Failed(status.Code(err))) {
		return err
	}
	return nil
}

// openError is a refusal as callers of gRPC expect errors to be.
type openError struct{ *breaker.OpenError }

func refused(err error) error {
	if open, ok := err.(*breaker.OpenError); ok {
		return &openError{open}
	}
	return err
}

func (e *openError) Unwrap() error { return e.OpenError }

// GRPCStatus is what [status.FromError] looks for.
func (e *openError) GRPCStatus() *status.Status { return status.New(codes.Unavailable, e.Error()) }
