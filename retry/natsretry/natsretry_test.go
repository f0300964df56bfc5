package natsretry

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/retry"
)

func TestClassify(t *testing.T) {
	api := func(code, errorCode int) error {
		return fmt.Errorf("nats: %w", &jetstream.APIError{Code: code, ErrorCode: jetstream.ErrorCode(errorCode), Description: "said"})
	}
	for _, c := range []struct {
		err  error
		want retry.Verdict
	}{
		{nats.ErrNoResponders, refused(retry.Retry, "no responders")},
		{jetstream.ErrNoStreamResponse, refused(retry.Retry, "no responders")},
		{nats.ErrReconnectBufExceeded, refused(retry.Retry, "reconnecting")},
		{nats.ErrNoServers, refused(retry.Retry, "no servers")},
		{nats.ErrTimeout, unknown(retry.Retry, "timeout")},
		{nats.ErrDisconnected, unknown(retry.Retry, "disconnected")},
		{nats.ErrConnectionClosed, unknown(retry.Stop, "connection closed")},
		{nats.ErrConnectionDraining, refused(retry.Stop, "connection draining")},
		{nats.ErrMaxPayload, refused(retry.Stop, "too long")},
		{nats.ErrBadSubject, refused(retry.Stop, "bad subject")},
		{jetstream.ErrKeyNotFound, answer("key not found")},
		{jetstream.ErrBucketNotFound, refused(retry.Stop, "bucket not found")},
		{jetstream.ErrStreamNotFound, refused(retry.Stop, "stream not found")},
		{jetstream.ErrKeyExists, refused(retry.Stop, "")},
		{jetstream.ErrJetStreamNotEnabled, refused(retry.Retry, "jetstream not enabled")},
		{jetstream.ErrJetStreamNotEnabledForAccount, refused(retry.Stop, "jetstream not enabled for account")},
		{api(400, 10071), refused(retry.Stop, "said")},
		{api(400, 10164), refused(retry.Stop, "said")},
		{api(404, 10059), refused(retry.Stop, "said")},
		{api(404, 10037), answer("said")},
		{api(409, 10158), unknown(retry.Retry, "said")},
		{api(429, 10167), refused(retry.Retry, "said")},
		{api(500, 10009), refused(retry.Retry, "said")},
		{api(503, 10008), refused(retry.Retry, "said")},
		{api(503, 10163), refused(retry.Retry, "said")},
		{api(503, 10023), unknown(retry.Retry, "said")},
		{api(503, 10077), unknown(retry.Retry, "said")},
		{api(0, 0), unknown(retry.Retry, "said")},
		{&nats.APIError{Code: 404, ErrorCode: 10059, Description: "said"}, refused(retry.Stop, "said")},
		{context.DeadlineExceeded, retry.Verdict{}},
		{errors.New("of another"), retry.Verdict{}},
	} {
		require.Equal(t, c.want, Classify(c.err), "%v", c.err)
		require.Equal(t, c.want, Classify(fmt.Errorf("wrapped: %w", c.err)), "%v", c.err)
	}
}
