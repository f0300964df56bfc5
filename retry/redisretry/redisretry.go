// Package redisretry tells package retry what errors of go-redis mean, and lets a client retry by a policy.
//
//	p, err := retry.New(&retry.Options{Classify: redisretry.Classify})
//
// # Attempts of the client
//
// go-redis repeats commands by itself: a Client up to MaxRetries times, 3 by default, also those whose answer was lost, and a
// ClusterClient up to MaxRedirects times. An error is that of the last attempt, so that a command can have been done whatever
// it says. [Classify] goes by that and never says [retry.NotApplied]: a policy with Unsafe repeats nothing.
//
// A Client with MaxRetries: -1 makes one attempt. For its errors there is [ClassifySingle], and [AddTo] makes its commands
// retry by one policy, instead of two that multiply:
//
//	rdb := redis.NewClient(&redis.Options{Addr: "localhost:6379", MaxRetries: -1})
//	err := redisretry.AddTo(rdb, &retry.Options{Attempts: 4, Unsafe: true})
//
// # Limits
//
// The error of a pipeline is that of its first command that failed, and says nothing of the others: repeat a pipeline only if
// all of it may be done twice. A script or a module that makes up errors with the server's own codes is taken at its word.
package redisretry

import (
	"errors"
	"io"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/concordkit/concord/retry"
)

// Classify judges an error of any client of go-redis. It never says whether the command was applied, but for [redis.Nil],
// which is an answer: the client may have made other attempts before. What go-redis does not know is Unsure.
func Classify(err error) retry.Verdict {
	v := ClassifySingle(err)
	if v.Applied == retry.NotApplied {
		v.Applied = retry.Unknown
	}
	return v
}

// ClassifySingle judges the error of a single command from a client that makes one attempt: a [redis.Client] with MaxRetries:
// -1. It says NotApplied where the command was not sent, and where the server refused it before it ran. Errors after it was
// sent, and those that a command or a script meets, leave that open. What go-redis does not know is Unsure.
func ClassifySingle(err error) retry.Verdict {
	if v, ok := client(err); ok {
		return v
	}
	reply, ok := errors.AsType[redis.Error](err)
	if !ok {
		return broken(err)
	}
	text := reply.Error()
	v, known := replies[code(text)]
	if !known {
		return retry.Verdict{Decision: retry.Stop, Reason: code(text)} // the server has understood, and refuses
	}
	v.Reason = code(text)
	if strings.Contains(text, "@user_") {
		v.Applied = retry.Unknown // a script met it, perhaps after it had written
	}
	return v
}

// client judges what go-redis itself says.
func client(err error) (retry.Verdict, bool) {
	for _, e := range clientErrors {
		if errors.Is(err, e.err) {
			return e.verdict, true
		}
	}
	return retry.Verdict{}, false
}

// broken judges errors of the connection.
func broken(err error) retry.Verdict {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return refused(retry.Retry, "dial")
	}
	if _, ok := errors.AsType[net.Error](err); ok || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return retry.Verdict{Decision: retry.Retry, Reason: "connection"}
	}
	return retry.Verdict{}
}

func refused(d retry.Decision, reason string) retry.Verdict {
	return retry.Verdict{Decision: d, Applied: retry.NotApplied, Reason: reason}
}

var clientErrors = []struct {
	err     error
	verdict retry.Verdict
}{
	{redis.Nil, retry.Verdict{Decision: retry.Stop, Applied: retry.WasApplied, Reason: "nil"}},
	{redis.TxFailedErr, refused(retry.Retry, "transaction failed")}, // where the func is all of Watch
	{redis.ErrClosed, refused(retry.Stop, "client closed")},
	{redis.ErrPoolTimeout, refused(retry.Retry, "pool timeout")},
	{redis.ErrPoolExhausted, refused(retry.Retry, "pool exhausted")},
}
