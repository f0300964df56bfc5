package etcdlock

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// tries is how many times a request could be sent in a TTL. The client sends each one to the next member.
const tries = 6

// request sends a request until it is answered, and reports whether copies of it may be on their way. The context must
// require a leader: a member that has none refuses at once. One that has just been cut off does not know yet and holds a
// request, and so does a dead link: after a time, first limit and then ever longer, it is sent again. What send does must
// be harmless when it is done twice, or late.
func request[T any](ctx context.Context, limit time.Duration, send func(context.Context) (T, error)) (r T, copies bool, err error) {
	for pause := time.Duration(0); ; pause = min(pause+minPause/4, maxPause) {
		try, stop := context.WithTimeout(ctx, limit)
		r, err = send(try)
		late := err != nil && try.Err() != nil && ctx.Err() == nil
		stop()
		if !late && !errors.Is(err, rpctypes.ErrNoLeader) {
			return r, copies, err
		}
		if late {
			copies, limit = true, 2*limit
		}
		if !sleep(ctx, pause) {
			return r, copies, err
		}
	}
}

// read is request for what leaves nothing behind.
func read[T any](ctx context.Context, limit time.Duration, send func(context.Context) (T, error)) (T, error) {
	r, _, err := request(ctx, limit, send)
	return r, err
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
