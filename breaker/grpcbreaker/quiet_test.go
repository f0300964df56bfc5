package grpcbreaker_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/concordkit/concord/breaker"
	"github.com/concordkit/concord/breaker/grpcbreaker"
)

// silent is a stream that says something after a while.
type silent struct {
	grpc.ClientStream
	ctx  context.Context
	wait time.Duration
}

func (s *silent) RecvMsg(any) error {
	select {
	case <-time.After(s.wait):
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

// watches opens streams of a server that is well and says something after wait.
func watches(t *testing.T, set *breaker.Set, o *grpcbreaker.Options, wait time.Duration) func(ctx context.Context) (grpc.ClientStream, error) {
	t.Helper()
	guard, err := grpcbreaker.New(set, o)
	require.NoError(t, err)
	cc, err := grpc.NewClient("passthrough:///none", grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { cc.Close() })
	return func(ctx context.Context) (grpc.ClientStream, error) {
		return guard.Stream(ctx, &grpc.StreamDesc{ServerStreams: true}, cc, "/s/Watch",
			func(ctx context.Context, _ *grpc.StreamDesc, _ *grpc.ClientConn, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
				return &silent{ctx: ctx, wait: wait}, nil
			})
	}
}

// Streams that are quiet because they have nothing to say neither open a breaker nor keep it open.
func TestQuietStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set, err := breaker.NewSet(&breaker.SetOptions{Idle: -1})
		require.NoError(t, err)
		open := watches(t, set, nil, 15*time.Second)
		b := set.Get("passthrough:///none")
		for range 40 { // with deadlines that pass
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			s, err := open(ctx)
			require.NoError(t, err)
			require.Error(t, s.RecvMsg(nil))
			cancel()
		}
		require.Equal(t, breaker.Closed, b.State())

		require.NoError(t, b.Trip("test", time.Second))
		time.Sleep(time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		_, err = open(ctx)
		require.NoError(t, err)
		time.Sleep(time.Minute)
		require.Equal(t, breaker.HalfOpen, b.State(), "it counts for nothing, and the next one is a probe")
		open = watches(t, set, nil, time.Second)
		s, err := open(ctx)
		require.NoError(t, err)
		require.NoError(t, s.RecvMsg(nil))
		require.Equal(t, breaker.Closed, b.State())
	})
}

// A func of the user that panics costs no permit, and not the process.
func TestFailedThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set, err := breaker.NewSet(&breaker.SetOptions{Idle: -1, Breaker: breaker.Options{Rules: breaker.Rules{InFlight: 2}}})
		require.NoError(t, err)
		open := watches(t, set, &grpcbreaker.Options{Failed: func(codes.Code) bool { panic("oops") }}, time.Hour)
		for range 10 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := open(ctx)
			require.NoError(t, err)
			time.Sleep(2 * time.Second)
			synctest.Wait()
			cancel()
		}
		require.Zero(t, set.Get("passthrough:///none").Snapshot().InFlight)
	})
}
