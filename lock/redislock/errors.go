package redislock

import (
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/concordkit/concord/lock"
)

// fail wraps err once. Few errors are certain: a reply that refuses may be the answer to a repetition by go-redis, whose
// first try was applied and whose answer was lost.
func fail(verb string, c lock.Claim, err error) error {
	switch {
	case err == nil:
		return nil
	case says(err, "WRONGTYPE"), says(err, "CORRUPT"):
		err = fmt.Errorf("%w: %w", lock.ErrCorrupt, err)
	case !certain(err):
		err = fmt.Errorf("%w: %w", lock.ErrUnknownOutcome, err)
	}
	return fmt.Errorf("redislock: %s %q: %w", verb, c.Dir+c.Name, err)
}

// certain reports whether err can only mean that nothing was done, and that trying again would not help.
func certain(err error) bool {
	for _, code := range []string{"NOPERM", "NOAUTH", "WRONGPASS", "MOVED", "CROSSSLOT"} {
		if says(err, code) {
			return true
		}
	}
	return errors.Is(err, lock.ErrInvalid) || errors.Is(err, lock.ErrCorrupt) || errors.Is(err, redis.ErrClosed)
}

// says reports whether the server has replied with an error of that code. Servers before Redis 7 wrap the errors that a
// script meets in a text of their own.
func says(err error, code string) bool { return isReply(err) && strings.Contains(err.Error(), code) }

func isReply(err error) bool {
	_, ok := errors.AsType[redis.Error](err)
	return ok
}
