package etcdretry

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/concordkit/concord/retry"
)

func TestClassify(t *testing.T) {
	passes := func(reason string) retry.Verdict {
		return retry.Verdict{Decision: retry.Retry, Applied: retry.NotApplied, Reason: reason}
	}
	final := func(reason string) retry.Verdict {
		return retry.Verdict{Decision: retry.Stop, Applied: retry.NotApplied, Reason: reason}
	}
	open := retry.Verdict{Decision: retry.Retry, Reason: "Unavailable"}
	for _, c := range []struct {
		err  error
		want retry.Verdict
	}{
		{rpctypes.ErrTooManyRequests, passes("ResourceExhausted")},
		{rpctypes.ErrNoLeader, passes("Unavailable")},
		{rpctypes.ErrNotLeader, passes("FailedPrecondition")},
		{rpctypes.ErrGRPCNotSupportedForLearner, passes("FailedPrecondition")},
		{rpctypes.ErrAuthOldRevision, passes("InvalidArgument")},
		{rpctypes.ErrInvalidAuthToken, passes("Unauthenticated")},
		{rpctypes.ErrLeaderChanged, open},
		{rpctypes.ErrTimeout, open},
		{rpctypes.ErrTimeoutDueToLeaderFail, open},
		{rpctypes.ErrTimeoutDueToConnectionLost, open},
		{rpctypes.ErrGRPCTimeoutWaitAppliedIndex, open},
		{rpctypes.ErrStopped, open},
		{rpctypes.ErrUnhealthy, open},
		{rpctypes.ErrCompacted, final("OutOfRange")},
		{rpctypes.ErrFutureRev, final("OutOfRange")},
		{rpctypes.ErrLeaseNotFound, final("NotFound")},
		{rpctypes.ErrLeaseExist, final("FailedPrecondition")},
		{rpctypes.ErrPermissionDenied, final("PermissionDenied")},
		{rpctypes.ErrAuthFailed, final("InvalidArgument")},
		{rpctypes.ErrRequestTooLarge, final("InvalidArgument")},
		{rpctypes.ErrEmptyKey, final("InvalidArgument")},
		{rpctypes.ErrNoSpace, retry.Verdict{Decision: retry.Stop, Reason: "ResourceExhausted"}},
		{rpctypes.ErrCorrupt, retry.Verdict{Decision: retry.Stop, Reason: "DataLoss"}},
		{clientv3.ErrNoAvailableEndpoints, final("no endpoints")},
		// Of gRPC itself: only the decision is certain.
		{status.Error(codes.Unavailable, "error reading from server: EOF"), open},
		{status.Error(codes.Unavailable, `connection error: desc = "keepalive ping failed to receive ACK within timeout"`), open},
		{status.Error(codes.ResourceExhausted, "received message larger than max"), retry.Verdict{Decision: retry.Stop, Reason: "ResourceExhausted"}},
		{status.Error(codes.PermissionDenied, "of a proxy"), retry.Verdict{Decision: retry.Stop, Reason: "PermissionDenied"}},
		{status.Error(codes.DeadlineExceeded, "late"), retry.Verdict{Reason: "DeadlineExceeded"}},
		{status.Error(codes.Canceled, "grpc: the client connection is closing"), retry.Verdict{Reason: "Canceled"}},
		{status.Error(codes.Internal, "odd"), retry.Verdict{}},
		{context.DeadlineExceeded, retry.Verdict{}},
		{context.Canceled, retry.Verdict{}},
		{errors.New("of another"), retry.Verdict{}},
	} {
		require.Equal(t, c.want, Classify(c.err), "%v", c.err)
		require.Equal(t, c.want, Classify(fmt.Errorf("wrapped: %w", c.err)), "wrapped %v", c.err)
		require.Equal(t, c.want, Classify(errors.Join(errors.New("first"), c.err)), "joined %v", c.err)
	}
}
