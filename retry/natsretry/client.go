package natsretry

import (
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/concordkit/concord/retry"
)

// answer is the verdict on errors that are answers: asking again brings the same.
func answer(reason string) retry.Verdict {
	return retry.Verdict{Decision: retry.Stop, Applied: retry.WasApplied, Reason: reason}
}

// clientErrors are those that nats.go makes itself. Where one wraps another's code, the first that matches counts.
var clientErrors = []struct {
	err     error
	verdict retry.Verdict
}{
	{nats.ErrNoResponders, refused(retry.Retry, "no responders")},
	{jetstream.ErrNoStreamResponse, refused(retry.Retry, "no responders")},
	{nats.ErrNoStreamResponse, refused(retry.Retry, "no responders")},
	{nats.ErrNoServers, refused(retry.Retry, "no servers")},
	{nats.ErrReconnectBufExceeded, refused(retry.Retry, "reconnecting")},
	{jetstream.ErrTooManyStalledMsgs, refused(retry.Retry, "stalled")},

	{nats.ErrTimeout, unknown(retry.Retry, "timeout")},
	{jetstream.ErrAsyncPublishTimeout, unknown(retry.Retry, "timeout")},
	{nats.ErrDisconnected, unknown(retry.Retry, "disconnected")},
	{jetstream.ErrInvalidJSAck, unknown(retry.Retry, "bad acknowledgement")},
	{nats.ErrInvalidJSAck, unknown(retry.Retry, "bad acknowledgement")},
	{nats.ErrConnectionClosed, unknown(retry.Stop, "connection closed")}, // before or after it was sent
	{jetstream.ErrConnectionClosed, unknown(retry.Stop, "connection closed")},

	{nats.ErrConnectionDraining, refused(retry.Stop, "connection draining")},
	{nats.ErrMaxPayload, refused(retry.Stop, "too long")},
	{nats.ErrBadSubject, refused(retry.Stop, "bad subject")},
	{nats.ErrInvalidConnection, refused(retry.Stop, "invalid")},
	{nats.ErrInvalidMsg, refused(retry.Stop, "invalid")},
	{nats.ErrInvalidContext, refused(retry.Stop, "invalid")},
	{nats.ErrNoDeadlineContext, refused(retry.Stop, "invalid")},
	{nats.ErrHeadersNotSupported, refused(retry.Stop, "headers not supported")},
	{jetstream.ErrInvalidSubject, refused(retry.Stop, "bad subject")},
	{jetstream.ErrInvalidStreamName, refused(retry.Stop, "bad name")},
	{jetstream.ErrInvalidConsumerName, refused(retry.Stop, "bad name")},
	{jetstream.ErrInvalidBucketName, refused(retry.Stop, "bad name")},
	{jetstream.ErrInvalidKey, refused(retry.Stop, "bad key")},
	{jetstream.ErrInvalidOption, refused(retry.Stop, "bad option")},
	{jetstream.ErrJetStreamPublisherClosed, refused(retry.Stop, "publisher closed")},
	{jetstream.ErrBucketNotFound, refused(retry.Stop, "bucket not found")},
	{jetstream.ErrKeyRevisionMismatch, refused(retry.Stop, "wrong last sequence")},

	{jetstream.ErrKeyNotFound, answer("key not found")},
	{jetstream.ErrKeyDeleted, answer("key deleted")},
	{jetstream.ErrNoKeysFound, answer("no keys")},
	{jetstream.ErrNoMessages, answer("no messages")},
	{jetstream.ErrObjectNotFound, answer("object not found")},
}
