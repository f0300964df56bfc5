package grpcretry

import (
	"math"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

type push uint8

const (
	pushNone  push = iota
	pushWait       // come back after a time
	pushNever      // do not come back
)

// pushback reads grpc-retry-pushback-ms (gRFC A6): anything but one number from 0 on means never.
func pushback(trailer metadata.MD) (time.Duration, push) {
	values := trailer["grpc-retry-pushback-ms"]
	if len(values) == 0 {
		return 0, pushNone
	}
	ms, err := strconv.ParseInt(values[0], 10, 64)
	if err != nil || ms < 0 || len(values) > 1 {
		return 0, pushNever
	}
	return time.Duration(min(ms, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond, pushWait
}

// retryInfo returns the wait that the first google.rpc.RetryInfo in the details of s asks for.
func retryInfo(s *status.Status) (wait time.Duration, ok bool) {
	for _, detail := range s.Proto().GetDetails() {
		if url := detail.GetTypeUrl(); url[strings.LastIndexByte(url, '/')+1:] == "google.rpc.RetryInfo" {
			return retryDelay(detail.GetValue())
		}
	}
	return 0, false
}

// retryDelay reads a google.rpc.RetryInfo: one field, retry_delay = 1, which is a Duration. What is below 0 is no wait, and
// what is no RetryInfo is not there.
func retryDelay(b []byte) (time.Duration, bool) {
	delay := new(durationpb.Duration)
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return 0, false
		}
		b = b[n:]
		if n = protowire.ConsumeFieldValue(field, kind, b); n < 0 {
			return 0, false
		}
		if field == 1 && kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(b)
			if err := (proto.UnmarshalOptions{Merge: true}).Unmarshal(value, delay); err != nil {
				return 0, false
			}
		}
		b = b[n:]
	}
	return max(0, delay.AsDuration()), true
}
