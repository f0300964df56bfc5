package grpcbreaker_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/concordkit/concord/breaker"
	"github.com/concordkit/concord/breaker/grpcbreaker"
)

const target = "passthrough:///server"

// server answers every method with a code, or not at all.
type server struct {
	code     atomic.Uint32
	hang     atomic.Bool
	messages atomic.Int64 // sent before the code
	called   atomic.Int64
}

func (s *server) handle(_ any, ss grpc.ServerStream) error {
	s.called.Add(1)
	if err := ss.RecvMsg(new(emptypb.Empty)); err != nil {
		return err
	}
	for range s.messages.Load() {
		if err := ss.SendMsg(new(emptypb.Empty)); err != nil {
			return err
		}
	}
	if s.hang.Load() {
		<-ss.Context().Done()
		return ss.Context().Err()
	}
	return status.Error(codes.Code(s.code.Load()), "as told")
}

// start returns a connection to a new server. Its breakers open at the third failure in a row.
func start(t *testing.T, o *grpcbreaker.Options) (*server, *grpc.ClientConn, *breaker.Set) {
	t.Helper()
	s := new(server)
	s.messages.Store(1)
	lis := bufconn.Listen(1 << 20)
	srv := grpc.NewServer(grpc.UnknownServiceHandler(s.handle))
	done := make(chan error, 1)
	go func() { done <- srv.Serve(lis) }()
	t.Cleanup(func() {
		srv.Stop()
		require.NoError(t, <-done)
	})
	set, err := breaker.NewSet(&breaker.SetOptions{
		Breaker: breaker.Options{Rules: breaker.Rules{FailureRate: -1, Consecutive: 3}, OpenFor: time.Hour},
	})
	require.NoError(t, err)
	guard, err := grpcbreaker.New(set, o)
	require.NoError(t, err)
	conn, err := grpc.NewClient(target, append(guard.DialOptions(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }),
	)...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() }) // a test may have done it
	return s, conn, set
}

func unary(ctx context.Context, conn *grpc.ClientConn) error {
	return conn.Invoke(ctx, "/a.S/M", new(emptypb.Empty), new(emptypb.Empty))
}

var both = &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}

// open opens a stream and sends one message. What went wrong on the way there, RecvMsg tells.
func open(ctx context.Context, conn *grpc.ClientConn) (grpc.ClientStream, error) {
	stream, err := conn.NewStream(ctx, both, "/a.S/Watch")
	if err != nil {
		return nil, err
	}
	if err := stream.SendMsg(new(emptypb.Empty)); err != nil && err != io.EOF {
		return nil, err
	}
	return stream, nil
}

// read reads to the end.
func read(stream grpc.ClientStream) error {
	for {
		if err := stream.RecvMsg(new(emptypb.Empty)); err != nil {
			return err
		}
	}
}

func streaming(ctx context.Context, conn *grpc.ClientConn) error {
	stream, err := open(ctx, conn)
	if err != nil {
		return err
	}
	if err := read(stream); err != io.EOF {
		return err
	}
	return nil
}

func TestCodes(t *testing.T) {
	failures := map[codes.Code]bool{
		codes.Unavailable: true, codes.DeadlineExceeded: true, codes.ResourceExhausted: true,
		codes.Internal: true, codes.Unknown: true, codes.DataLoss: true,
	}
	for name, call := range map[string]func(context.Context, *grpc.ClientConn) error{"unary": unary, "stream": streaming} {
		t.Run(name, func(t *testing.T) {
			s, conn, set := start(t, nil)
			s.messages.Store(0)
			for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
				s.code.Store(uint32(code))
				for range 3 {
					require.Equal(t, code, status.Code(call(t.Context(), conn)))
				}
				b := set.Get(target)
				require.Equal(t, failures[code], b.State() == breaker.Open, code)
				if failures[code] {
					requireRefused(t, s, func() error { return call(t.Context(), conn) })
				}
				b.Reset("next")
			}
			s.messages.Store(1)
			s.code.Store(0)
			require.NoError(t, call(t.Context(), conn))
		})
	}
}

func requireRefused(t *testing.T, s *server, call func() error) {
	t.Helper()
	before := s.called.Load()
	err := call()
	require.Equal(t, before, s.called.Load(), "nothing is sent")
	require.ErrorIs(t, err, breaker.ErrOpen)
	require.Equal(t, codes.Unavailable, status.Code(err))
	require.ErrorContains(t, err, `breaker: "passthrough:///server" is open`)
	_, ok := errors.AsType[*breaker.OpenError](err)
	require.True(t, ok)
	after, ok := errors.AsType[interface {
		error
		RetryAfter() time.Duration
		NotApplied() bool
	}](err)
	require.True(t, ok)
	require.Positive(t, after.RetryAfter())
	require.True(t, after.NotApplied())
}

func TestCancelAndDeadlineStorms(t *testing.T) {
	for name, call := range map[string]func(context.Context, *grpc.ClientConn) error{"unary": unary, "stream": streaming} {
		t.Run(name, func(t *testing.T) {
			s, conn, set := start(t, nil)
			s.hang.Store(true)
			s.messages.Store(0)
			b := set.Get(target)
			for range 20 {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Millisecond, cancel)
				require.Equal(t, codes.Canceled, status.Code(call(ctx, conn)))
			}
			require.Equal(t, breaker.Closed, b.State())
			for range 3 {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
				require.Equal(t, codes.DeadlineExceeded, status.Code(call(ctx, conn)))
				cancel()
			}
			require.Equal(t, breaker.Open, b.State())
		})
	}
}

// A stream is judged by its first message, so one that lives long is no probe that hangs.
func TestStreamIsJudgedByItsFirstMessage(t *testing.T) {
	s, conn, set := start(t, nil)
	b := set.Get(target)
	s.code.Store(uint32(codes.Unavailable))
	for range 5 {
		require.Equal(t, codes.Unavailable, status.Code(streaming(t.Context(), conn)))
	}
	require.Equal(t, breaker.Closed, b.State())

	s.hang.Store(true)
	require.NoError(t, b.Trip("test", time.Millisecond))
	time.Sleep(2 * time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := open(ctx, conn)
	require.NoError(t, err)
	require.Equal(t, breaker.HalfOpen, b.State())
	require.NoError(t, stream.RecvMsg(new(emptypb.Empty)))
	require.Equal(t, breaker.Closed, b.State())
	cancel()
	require.Equal(t, codes.Canceled, status.Code(read(stream)))
}

// A stream that its caller leaves without reading gives its place back.
func TestStreamThatIsLeft(t *testing.T) {
	s, conn, set := start(t, nil)
	s.hang.Store(true)
	s.messages.Store(0)
	b := set.Get(target)
	require.NoError(t, b.Trip("test", time.Millisecond))
	time.Sleep(2 * time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := open(ctx, conn)
	require.NoError(t, err)
	requireHalfOpen := func() {
		_, err := b.Allow()
		require.ErrorIs(t, err, breaker.ErrOpen)
		require.Equal(t, breaker.HalfOpen, b.State())
	}
	requireHalfOpen()
	cancel()
	require.Eventually(t, func() bool {
		permit, err := b.Allow()
		permit.Done(nil)
		return err == nil
	}, 10*time.Second, time.Millisecond)
	require.Equal(t, breaker.Closed, b.State())
}

func TestErrorsOfSend(t *testing.T) {
	s, conn, set := start(t, nil)
	s.hang.Store(true)
	b := set.Get(target)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 3 {
		stream, err := open(ctx, conn)
		require.NoError(t, err)
		require.Equal(t, codes.Internal, status.Code(stream.SendMsg("no message")))
	}
	require.Equal(t, breaker.Open, b.State())
}

func TestPanicOfTheStreamer(t *testing.T) {
	_, conn, set := start(t, nil)
	guard, err := grpcbreaker.New(set, nil)
	require.NoError(t, err)
	for range 3 {
		require.Panics(t, func() {
			_, _ = guard.Stream(t.Context(), both, conn, "/a.S/M",
				func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
					panic("oh")
				})
		})
	}
	require.Equal(t, breaker.Open, set.Get(target).State())
	set.Get(target).Reset("next")
	require.NoError(t, conn.Close())
	for range 3 {
		_, err := conn.NewStream(t.Context(), both, "/a.S/M")
		require.Equal(t, codes.Canceled, status.Code(err))
	}
	require.Equal(t, breaker.Closed, set.Get(target).State(), "the connection is closed by its user")
}

func TestOptions(t *testing.T) {
	s, conn, set := start(t, &grpcbreaker.Options{
		Key:    func(target, method string) string { return target + method },
		Failed: func(c codes.Code) bool { return c == codes.NotFound },
	})
	s.messages.Store(0)
	for _, code := range []codes.Code{codes.Unavailable, codes.NotFound} {
		require.Equal(t, breaker.Closed, set.Get(target+"/a.S/M").State())
		s.code.Store(uint32(code))
		for range 3 {
			require.Equal(t, code, status.Code(unary(t.Context(), conn)))
		}
	}
	require.Equal(t, breaker.Open, set.Get(target+"/a.S/M").State())
	_, err := grpcbreaker.New(nil, nil)
	require.ErrorIs(t, err, breaker.ErrInvalid)
}
