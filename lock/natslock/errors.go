package natslock

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/concordkit/concord/lock"
)

// errMoved reports that a subject's last message is not the one that a write expected.
var errMoved = errors.New("wrong last sequence")

// refusal is an error after which nothing was stored for certain.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

// doubt is an error after which something may have been stored, whatever it says of the last try.
type doubt struct{ error }

func (d doubt) Unwrap() error { return d.error }

// fail wraps err once.
func fail(verb string, c lock.Claim, err error) error {
	switch {
	case err == nil:
		return nil
	case !certain(err):
		err = fmt.Errorf("%w: %w", lock.ErrUnknownOutcome, err)
	}
	return fmt.Errorf("natslock: %s %q: %w", verb, c.Dir+c.Name, err)
}

// certain reports whether err can only mean that nothing was stored.
func certain(err error) bool {
	if _, ok := errors.AsType[doubt](err); ok {
		return false
	}
	if _, ok := errors.AsType[refusal](err); ok {
		return true
	}
	return errors.Is(err, lock.ErrInvalid) || errors.Is(err, lock.ErrCorrupt)
}

// final reports whether trying again is of no use.
func final(err error) bool {
	return errors.Is(err, lock.ErrInvalid) || errors.Is(err, nats.ErrConnectionClosed)
}

// sent marks what the client library refused before it sent anything. It has ErrConnectionClosed for both cases, so that is
// not among them: request looks before.
func sent(err error) error {
	for _, before := range []error{
		nats.ErrConnectionDraining, nats.ErrReconnectBufExceeded, nats.ErrMaxPayload, nats.ErrBadSubject, nats.ErrNoResponders,
	} {
		if errors.Is(err, before) {
			return refusal{err}
		}
	}
	return err
}

// moved reports whether the server refused a write for its expectation: the last sequence differs, or another write to
// the subject is under way.
func moved(err *jetstream.APIError) bool {
	return err.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		err.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant
}
