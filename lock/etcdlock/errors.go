package etcdlock

import (
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"

	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/fence"
)

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

// certain reports whether err can only mean that nothing was done, and that trying again would not help.
func certain(err error) bool {
	if errors.Is(err, lock.ErrInvalid) || errors.Is(err, lock.ErrCorrupt) || errors.Is(err, fence.ErrStale) {
		return true
	}
	refusal, ok := errors.AsType[rpctypes.EtcdError](err)
	if !ok {
		return false
	}
	switch refusal.Code() {
	case codes.PermissionDenied, codes.Unauthenticated, codes.InvalidArgument, codes.FailedPrecondition,
		codes.NotFound, codes.OutOfRange, codes.ResourceExhausted, codes.Unimplemented:
		return true
	}
	return false
}
