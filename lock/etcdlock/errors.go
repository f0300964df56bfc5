package etcdlock

import (
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"

	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/fence"
)

// refusal is an error after which nothing was done for certain.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

// fail wraps err once, and says where its outcome is open.
func fail(verb string, c lock.Claim, err error) error {
	switch {
	case err == nil:
		return nil
	case !certain(err):
		err = fmt.Errorf("%w: %w", lock.ErrUnknownOutcome, err)
	}
	return fmt.Errorf("etcdlock: %s %q: %w", verb, c.Dir+c.Name, err)
}

// certain reports whether err can only mean that nothing was done. ErrNoSpace is not among those: a member whose space ran
// out meanwhile says so after it has applied the request.
func certain(err error) bool {
	if _, ok := errors.AsType[refusal](err); ok {
		return true
	}
	if errors.Is(err, lock.ErrInvalid) || errors.Is(err, lock.ErrCorrupt) || errors.Is(err, fence.ErrStale) ||
		errors.Is(err, rpctypes.ErrTooManyRequests) || errors.Is(err, rpctypes.ErrNoLeader) {
		return true
	}
	refused, ok := errors.AsType[rpctypes.EtcdError](err)
	if !ok {
		return false
	}
	switch refused.Code() {
	case codes.PermissionDenied, codes.Unauthenticated, codes.InvalidArgument, codes.FailedPrecondition,
		codes.NotFound, codes.OutOfRange, codes.Unimplemented:
		return true
	}
	return false
}

// passes reports whether err may go away by itself.
func passes(err error) bool {
	return err != nil && (!certain(err) || errors.Is(err, rpctypes.ErrTooManyRequests) || errors.Is(err, rpctypes.ErrNoLeader))
}
