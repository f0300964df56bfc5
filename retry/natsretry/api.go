package natsretry

import (
	"net/http"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/concordkit/concord/retry"
)

// Error codes of JetStream that nats.go has no names for.
const (
	clusterNotAvailable = 10008 // no leader of the servers
	clusterNotLeader    = 10009
	sequenceNotReady    = 10163 // a new leader does not know the last sequence of the subject yet
	streamOffline       = 10118
)

// api judges what JetStream answers. Codes below 500 refuse what is in the request. Those from 500 on are about the server,
// which may have found out when a replica had stored it already.
func api(code, errorCode int, description string) retry.Verdict {
	switch errorCode {
	case clusterNotAvailable, clusterNotLeader, sequenceNotReady, streamOffline, int(jetstream.JSErrCodeJetStreamNotEnabled):
		return refused(retry.Retry, description)
	case int(jetstream.JSErrCodeJetStreamNotEnabledForAccount):
		return refused(retry.Stop, description)
	case int(jetstream.JSErrCodeMessageNotFound):
		return answer(description)
	}
	switch {
	case code == http.StatusTooManyRequests:
		return refused(retry.Retry, description)
	case code == http.StatusRequestTimeout, code == http.StatusConflict:
		return unknown(retry.Retry, description)
	case code >= 400 && code < 500:
		return refused(retry.Stop, description)
	}
	return unknown(retry.Retry, description)
}
