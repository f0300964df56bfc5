package redispubsub

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/concordkit/concord/pubsub"
)

var errReply = errors.New("a reply that is not ours")

// queueFail wraps err once.
func queueFail(verb, topic string, err error) error {
	switch {
	case err == nil:
		return nil
	case queueSays(err, "FULL "):
		err = fmt.Errorf("%w: %w", pubsub.ErrFull, err)
	case queueSays(err, "PARTITIONS "):
		err = fmt.Errorf("%w: it has another number of partitions: %w", pubsub.ErrInvalid, err)
	}
	return fmt.Errorf("redispubsub: %s %q: %w", verb, topic, err)
}

// final reports whether trying again would not help.
func (q *Queue) final(err error) bool {
	for _, code := range []string{"NOPERM", "NOAUTH", "WRONGPASS", "CROSSSLOT", "WRONGTYPE", "PARTITIONS "} {
		if queueSays(err, code) {
			return true
		}
	}
	if _, cluster := q.rdb.(*redis.ClusterClient); !cluster && queueSays(err, "MOVED") {
		return true // a cluster is behind a client that knows of none
	}
	return errors.Is(err, redis.ErrClosed) || errors.Is(err, pubsub.ErrClosed) || errors.Is(err, pubsub.ErrInvalid)
}

// queueSays reports whether the server has replied with an error of that code.
func queueSays(err error, code string) bool {
	_, reply := errors.AsType[redis.Error](err)
	return reply && strings.Contains(err.Error(), code)
}

// queueAwait returns what f returns, or the cause of the end of ctx: go-redis does not mind it while it waits for an answer.
func queueAwait[T any](ctx context.Context, f func(ctx context.Context) (T, error)) (T, error) {
	if ctx.Done() == nil {
		return f(ctx)
	}
	type answer struct {
		v   T
		err error
	}
	came := make(chan answer, 1)
	go func() {
		v, err := f(ctx)
		came <- answer{v, err}
	}()
	select {
	case a := <-came:
		return a.v, a.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}
