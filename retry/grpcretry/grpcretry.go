// Package grpcretry repeats the calls of a gRPC client, by a [retry.Policy].
//
//	policy, err := retry.New(&retry.Options{Attempts: 4})
//	if err != nil {
//		return err
//	}
//	conn, err := grpc.NewClient(addr, grpcretry.New(policy, nil).DialOptions()...)
//
// # What is repeated
//
// A call that ended with a status which [Classify] or [Options.Classify] calls a failure worth another attempt: by default
// Unavailable, ResourceExhausted with the server's word on when to come back, and DeadlineExceeded where the Timeout of the
// policy has passed. Whether it may be made again is up to what is known of its fate:
//
//   - Methods are idempotent where their proto option idempotency_level says so, or [Options.Idempotent].
//   - Calls of other methods are repeated where the first was provably not made: there was no connection for it, or an
//     interceptor below says so, such as that of an open circuit breaker, and nobody that the outcome is unknown (see
//     [retry.AppliedOf]). Unavailable alone proves nothing: a server says it, and gRPC does where a connection breaks.
//
// The server's grpc-retry-pushback-ms and google.rpc.RetryInfo are waited for, up to the MaxRetryAfter of the policy; a
// pushback that is negative, unreadable or given twice means that there is no other attempt. Attempts after the first
// carry their count in grpc-previous-rpc-attempts, as gRPC's own do (gRFC A6).
//
// # Streams
//
// Where the client sends one message, the call is repeated until the first message has come, or the header where it was asked
// for: the message is kept that long and sent again. Once Context was called there is no other attempt, but for one that is
// being waited for. What the client streams is not kept: there only the opening is repeated, before anything was sent. An attempt has succeeded by its first message, or the end of the stream without an
// error; it has failed where sending does. The policy's Timeout is for unary calls; a stream ends with its context.
//
// # What the caller gets
//
// An answer that is no failure, as it is. Else an error that wraps a [*retry.Error] and has the status of the last attempt
// with its message and details; where the caller's context ended between two attempts, the status is that of its end.
//
// # Limits
//
// There must be no second layer of retries: [Retrier.DialOptions] switches off those of a service config. What gRPC repeats
// by itself even so are calls that were not sent, or that the server has told it did not process; those are safe, but not
// counted. Interceptors below must pass on the call options they get, by which it is known that there was no connection. It is
// not known where an interceptor is called without its [*grpc.ClientConn], or without DialOptions where a service config
// asks for retries.
package grpcretry

import (
	"context"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/concordkit/concord/retry"
)

// Options configure [New]. A nil *Options means the defaults.
type Options struct {
	// Classify judges a status that is not OK: Retry and Stop make it a failure, which is repeated or not, Unsure makes it
	// the server's answer. An After is waited for. It is not asked about what came after the caller had ended the call, and
	// neither is the policy's own Classify, except about errors that say themselves that nothing was done. It defaults to
	// [Classify], and Retry for DeadlineExceeded of a unary call that came to the Timeout of the policy, or within 10 ms of it.
	Classify func(*status.Status) retry.Verdict
	// Idempotent says whether a full method, such as "/package.Service/Method", may be called twice. It is asked about calls
	// that failed. It defaults to the proto option idempotency_level of methods whose generated code is linked in.
	Idempotent func(method string) bool
}

// Retrier makes interceptors. [New] makes it. It may be used concurrently.
type Retrier struct {
	policy *retry.Policy
	o      Options
	single bool // the retries of service configs are off
}

// New returns a Retrier that repeats by p; nil means the default policy.
func New(p *retry.Policy, o *Options) *Retrier {
	r := &Retrier{policy: p}
	if o != nil {
		r.o = *o
	}
	if r.o.Idempotent == nil {
		r.o.Idempotent = idempotent
	}
	return r
}

// DialOptions returns both interceptors, chained behind those that come before, and switches off the retries of service
// configs. Who uses an interceptor without it must do so by [grpc.WithDisableRetry]. Options of a breaker for each attempt come
// behind these.
func (r *Retrier) DialOptions() []grpc.DialOption {
	single := &Retrier{policy: r.policy, o: r.o, single: true}
	return []grpc.DialOption{
		grpc.WithDisableRetry(), grpc.WithChainUnaryInterceptor(single.Unary), grpc.WithChainStreamInterceptor(single.Stream),
	}
}

// Unary is a [grpc.UnaryClientInterceptor].
func (r *Retrier) Unary(
	ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
) error {
	c := call{r: r, ctx: ctx, method: method, cc: cc}
	a := r.policy.Start(ctx)
	defer a.Cancel()
	for a.Next() {
		f := new(fate)
		c.answer = invoke(numbered(a.Context(), a.Number()), method, req, reply, cc, f.watch(opts)...)
		a.Done(c.judge(a.Context(), c.answer, f.trailer, f.peer.Addr != nil))
	}
	return c.result(a.Err())
}

// fate is what gRPC tells of a call beside its error.
type fate struct {
	trailer metadata.MD
	peer    peer.Peer
}

func (f *fate) watch(opts []grpc.CallOption) []grpc.CallOption {
	return append(opts[:len(opts):len(opts)], grpc.Trailer(&f.trailer), grpc.Peer(&f.peer))
}

const previousAttempts = "grpc-previous-rpc-attempts"

// numbered returns the context of attempt n, which has no count but its own.
func numbered(ctx context.Context, n int) context.Context {
	if n == 1 {
		return ctx
	}
	md, ok := metadata.FromOutgoingContext(ctx)
	if !ok {
		md = make(metadata.MD, 1)
	}
	md.Set(previousAttempts, strconv.Itoa(n-1))
	return metadata.NewOutgoingContext(ctx, md)
}
