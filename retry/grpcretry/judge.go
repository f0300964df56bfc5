package grpcretry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/concordkit/concord/retry"
)

// Classify judges a status as [New] does by default. Unavailable is worth another attempt, and so is ResourceExhausted with a
// google.rpc.RetryInfo. ResourceExhausted without one, DeadlineExceeded, Internal, Unknown and DataLoss are failures
// that are not repeated, unless a server's pushback asks for it. The others are the server's answer, Aborted too: what has to
// be repeated then is more than the call. No code proves that the call was not applied.
func Classify(s *status.Status) retry.Verdict {
	v := retry.Verdict{Reason: s.Code().String()}
	wait, told := retryInfo(s)
	switch s.Code() {
	case codes.Unavailable:
		v.Decision, v.After = retry.Retry, wait
	case codes.ResourceExhausted:
		v.Decision = retry.Stop
		if told {
			v.Decision, v.After = retry.Retry, wait
		}
	case codes.DeadlineExceeded, codes.Internal, codes.Unknown, codes.DataLoss:
		v.Decision = retry.Stop
	default:
		return retry.Verdict{}
	}
	return v
}

// call is what its attempts have in common.
type call struct {
	r      *Retrier
	ctx    context.Context // of the caller
	method string
	cc     *grpc.ClientConn
	answer error // of the last attempt
}

// judge returns what the policy gets to know of the end of an attempt.
func (c *call) judge(attempt context.Context, err error, trailer metadata.MD, sent bool) error {
	if err == nil || c.ctx.Err() != nil || retry.AppliedOf(err) == retry.NotApplied {
		return err
	}
	s, _ := status.FromError(err)
	v := c.classify(attempt, s)
	if v.Decision == retry.Unsure {
		return nil
	}
	if wait, push := pushback(trailer); push == pushNever {
		v.Decision = retry.Stop
	} else if push == pushWait {
		v.Decision, v.After = retry.Retry, wait
	}
	if s.Code() == codes.Unavailable && !sent && c.single() && !tells(err) {
		v.Applied = retry.NotApplied
	}
	return c.verdict(err, v)
}

// classify asks who judges by the options. Only the default knows of the policy's Timeout.
func (c *call) classify(attempt context.Context, s *status.Status) retry.Verdict {
	if c.r.o.Classify != nil {
		return c.r.o.Classify(s)
	}
	v := Classify(s)
	if s.Code() == codes.DeadlineExceeded && timedOut(attempt, c.ctx) {
		v.Decision = retry.Retry
	}
	return v
}

// lead is how much sooner than the client a server, or a proxy, may say that the deadline has passed, which it knows of.
const lead = 10 * time.Millisecond

// timedOut reports whether an attempt had a deadline before that of the caller, and has come to it.
func timedOut(attempt, caller context.Context) bool {
	deadline, ok := attempt.Deadline()
	if !ok {
		return false
	}
	if callers, ok := caller.Deadline(); ok && !deadline.Before(callers) {
		return false
	}
	return attempt.Err() != nil || time.Until(deadline) <= lead
}

// single reports whether gRPC is known to make no retries of its own, of which the last would tell nothing of those before.
func (c *call) single() bool {
	return c.cc != nil && (c.r.single || c.cc.GetMethodConfig(c.method).RetryPolicy == nil)
}

// tells reports whether err itself has something to say of whether the call was made.
func tells(err error) bool {
	_, ok := errors.AsType[interface {
		error
		NotApplied() bool
	}](err)
	return ok
}

func (c *call) verdict(err error, v retry.Verdict) error {
	unsent := v.Applied == retry.NotApplied && retry.AppliedOf(&unsentError{err}) == retry.NotApplied // unless err says it is unknown
	barred := v.Decision == retry.Retry && !unsent && !c.r.o.Idempotent(c.method)
	if barred {
		err = fmt.Errorf("grpcretry: %s may have been applied: %w", c.method, err)
	}
	if unsent {
		err = &unsentError{err}
	}
	if barred || v.Decision == retry.Stop {
		return retry.Permanent(err)
	}
	return retry.After(err, v.After) // marked, lest NotApplied and a wait look like an open breaker
}

// unsentError is an error that is known to come from before the call.
type unsentError struct{ error }

func (e *unsentError) Unwrap() error    { return e.error }
func (e *unsentError) NotApplied() bool { return true }

// result returns what the caller gets, where the policy ended with err.
func (c *call) result(err error) error {
	gaveUp, ok := err.(*retry.Error)
	if !ok {
		if err != nil {
			return err
		}
		return c.answer
	}
	s := status.Convert(c.answer)
	if ended := c.ctx.Err(); ended != nil && gaveUp.Stop == retry.ContextEnded {
		s = status.FromContextError(ended)
	}
	return &failure{gaveUp, s}
}

// failure is how a policy gives up, as callers of gRPC expect errors to be.
type failure struct {
	gaveUp *retry.Error
	status *status.Status
}

func (f *failure) Error() string { return f.gaveUp.Error() }
func (f *failure) Unwrap() error { return f.gaveUp }

// GRPCStatus is what [status.FromError] looks for.
func (f *failure) GRPCStatus() *status.Status { return f.status }

// idempotent is the default of Options.Idempotent.
func idempotent(method string) bool {
	name := strings.ReplaceAll(strings.TrimPrefix(method, "/"), "/", ".")
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
	if err != nil {
		return false
	}
	o, ok := found.Options().(*descriptorpb.MethodOptions)
	return ok && o.GetIdempotencyLevel() != descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN
}
