// Package natsretry tells package retry what errors of nats.go mean, those of its package jetstream included.
//
//	p, err := retry.New(&retry.Options{Classify: natsretry.Classify})
//	…
//	err = p.Do(ctx, func(ctx context.Context) error { _, err := js.Publish(ctx, "orders", order); return err })
//
// # Attempts of the client
//
// nats.go repeats nothing but a publish to a stream that nobody serves, which was not done; [jetstream.WithRetryAttempts] sets
// how often. While it has no connection it keeps what is published in a buffer and sends it when it has one again: work that
// has timed out can still be done. With nats.ReconnectBufSize(-1) it refuses such work at once, which then was not done.
//
// A policy with Unsafe does not repeat a publish whose acknowledgement was lost. With [jetstream.WithMsgID] the stream stores
// it once however often it is sent, within its Duplicates window; then Unsafe is not needed.
package natsretry

import (
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/concordkit/concord/retry"
)

// Classify judges an error of nats.go. It says NotApplied where the client did not send a request, where nobody served its
// subject, and where JetStream refused it before it was stored. A time-out, a closed connection and a failed store leave that
// open. Errors of others are Unsure.
func Classify(err error) retry.Verdict {
	for _, e := range clientErrors {
		if errors.Is(err, e.err) {
			return e.verdict
		}
	}
	if e, ok := errors.AsType[*jetstream.APIError](err); ok {
		return api(e.Code, int(e.ErrorCode), e.Description)
	}
	if e, ok := errors.AsType[*nats.APIError](err); ok { // of the older API of JetStream
		return api(e.Code, int(e.ErrorCode), e.Description)
	}
	return retry.Verdict{}
}

func refused(d retry.Decision, reason string) retry.Verdict {
	return retry.Verdict{Decision: d, Applied: retry.NotApplied, Reason: reason}
}

func unknown(d retry.Decision, reason string) retry.Verdict {
	return retry.Verdict{Decision: d, Reason: reason}
}
