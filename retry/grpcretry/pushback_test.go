package grpcretry

import (
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

func TestPushback(t *testing.T) {
	for _, c := range []struct {
		values []string
		wait   time.Duration
		push   push
	}{
		{nil, 0, pushNone},
		{[]string{"0"}, 0, pushWait},
		{[]string{"1500"}, 1500 * time.Millisecond, pushWait},
		{[]string{"10000000000000"}, math.MaxInt64 / 1000000 * 1000000, pushWait},
		{[]string{"-1"}, 0, pushNever},
		{[]string{""}, 0, pushNever},
		{[]string{"1.5"}, 0, pushNever},
		{[]string{"99999999999999999999"}, 0, pushNever},
		{[]string{"soon"}, 0, pushNever},
		{[]string{"1", "2"}, 0, pushNever},
	} {
		wait, push := pushback(metadata.MD{"grpc-retry-pushback-ms": c.values})
		require.Equal(t, c.push, push, c.values)
		require.Equal(t, c.wait, wait, c.values)
	}
}

// info is a google.rpc.RetryInfo.
func info(t testing.TB, d *durationpb.Duration) []byte {
	t.Helper()
	b, err := proto.Marshal(d)
	require.NoError(t, err)
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), b)
}

func TestRetryDelay(t *testing.T) {
	for want, d := range map[time.Duration]*durationpb.Duration{
		1500 * time.Millisecond: {Seconds: 1, Nanos: 500_000_000},
		0:                       {Seconds: -1},
		math.MaxInt64:           {Seconds: math.MaxInt64},
	} {
		got, ok := retryDelay(info(t, d))
		require.True(t, ok)
		require.Equal(t, want, got)
	}
	got, ok := retryDelay(nil)
	require.True(t, ok, "no delay is one of 0")
	require.Zero(t, got)
	later := protowire.AppendVarint(protowire.AppendTag(nil, 9, protowire.VarintType), 7)
	got, ok = retryDelay(append(later, info(t, durationpb.New(time.Second))...))
	require.True(t, ok, "fields that are not known are left out")
	require.Equal(t, time.Second, got)
	for _, bad := range [][]byte{{0xff}, {0x0a, 5}, {0x0a, 1, 0xff}} {
		_, ok := retryDelay(bad)
		require.False(t, ok, bad)
	}
}

func FuzzRetryDelay(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0x0a, 5})
	f.Add(info(f, durationpb.New(time.Second)))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, ok := retryDelay(b)
		require.GreaterOrEqual(t, d, time.Duration(0))
		if !ok {
			require.Zero(t, d)
		}
	})
}

func FuzzPushback(f *testing.F) {
	for _, seed := range []string{"", "0", "-1", "1500", "10000000000000", "soon"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		d, push := pushback(metadata.MD{"grpc-retry-pushback-ms": {value}})
		require.GreaterOrEqual(t, d, time.Duration(0))
		ms, err := strconv.ParseInt(value, 10, 64)
		require.Equal(t, err == nil && ms >= 0, push == pushWait)
		if push == pushWait && ms < 1<<40 {
			require.Equal(t, ms, d.Milliseconds())
		}
	})
}
