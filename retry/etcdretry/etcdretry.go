// Package etcdretry tells package retry what errors of etcd's client mean.
//
//	p, err := retry.New(&retry.Options{Classify: etcdretry.Classify})
//	…
//	err = p.Do(ctx, func(ctx context.Context) error { _, err := cli.Put(ctx, key, value); return err })
//
// # Attempts of the client
//
// The client waits for a connection until the context ends, and repeats by itself, by an interceptor of its own, up to 100
// times some 25 ms apart: reads while a server is unavailable, writes only where they were not sent, and all that a server, not
// the caller, has cancelled. With MaxUnaryRetries: 1 in its Config it makes one attempt, and the policy is the only one that
// repeats. Without that, attempts multiply, and [retry.NotApplied] is as certain as that nobody between the client and etcd
// cancels a write that etcd goes on to do; etcd itself does not.
package etcdretry

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/concordkit/concord/retry"
)

// Classify judges an error of etcd's client. It says NotApplied where the server refused a request before it was proposed or
// because of what is in it. A time-out, a lost leader and a broken connection leave that open, and so does a lack of space, which
// a member may find after it has applied the request. Errors of others are Unsure.
func Classify(err error) retry.Verdict {
	if errors.Is(err, clientv3.ErrNoAvailableEndpoints) {
		return refused(retry.Stop, "no endpoints")
	}
	if said, ok := errors.AsType[rpctypes.EtcdError](rpctypes.Error(grpcError(err))); ok {
		return server(said)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return retry.Verdict{} // of a context of the caller's
	}
	s, ok := status.FromError(err)
	if !ok {
		return retry.Verdict{}
	}
	return transport(s)
}

// grpcError returns the error in err's tree that has a gRPC status or is of etcd's server, as it came from the client.
func grpcError(err error) error {
	if said, ok := errors.AsType[rpctypes.EtcdError](err); ok {
		return said
	}
	if s, ok := errors.AsType[interface {
		error
		GRPCStatus() *status.Status
	}](err); ok {
		return s
	}
	return err
}

// server judges what a server of etcd says.
func server(said rpctypes.EtcdError) retry.Verdict {
	for _, e := range passing {
		if said.Error() == e.Error() {
			return refused(retry.Retry, said.Code().String())
		}
	}
	switch said.Code() {
	case codes.InvalidArgument, codes.NotFound, codes.OutOfRange, codes.FailedPrecondition, codes.PermissionDenied,
		codes.Unauthenticated, codes.Unimplemented:
		return refused(retry.Stop, said.Code().String())
	case codes.ResourceExhausted, codes.DataLoss:
		return retry.Verdict{Decision: retry.Stop, Reason: said.Code().String()}
	case codes.Unavailable:
		return retry.Verdict{Decision: retry.Retry, Reason: said.Code().String()}
	}
	return retry.Verdict{}
}

// passing are refusals, before anything is done, that go away by themselves or on another member.
var passing = []error{
	rpctypes.ErrTooManyRequests, rpctypes.ErrNoLeader, rpctypes.ErrNotLeader, rpctypes.ErrAuthOldRevision,
	rpctypes.ErrInvalidAuthToken, rpctypes.Error(rpctypes.ErrGRPCNotSupportedForLearner),
}

// transport judges what gRPC itself says.
func transport(s *status.Status) retry.Verdict {
	reason := s.Code().String()
	switch s.Code() {
	case codes.Unavailable:
		return retry.Verdict{Decision: retry.Retry, Reason: reason}
	case codes.DeadlineExceeded, codes.Canceled, codes.Aborted:
		return retry.Verdict{Reason: reason}
	case codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.PermissionDenied, codes.ResourceExhausted,
		codes.FailedPrecondition, codes.OutOfRange, codes.Unimplemented, codes.DataLoss, codes.Unauthenticated:
		return retry.Verdict{Decision: retry.Stop, Reason: reason}
	}
	return retry.Verdict{}
}

func refused(d retry.Decision, reason string) retry.Verdict {
	return retry.Verdict{Decision: d, Applied: retry.NotApplied, Reason: reason}
}
