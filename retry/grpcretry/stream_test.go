package grpcretry_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/concordkit/concord/retry"
)

// observed counts attempts and their ends.
type observed struct{ began, failed, succeeded, stopped atomic.Int32 }

func (o *observed) trace() *retry.Trace {
	return &retry.Trace{
		Attempt: func(ctx context.Context, _ int) (context.Context, func(error)) {
			o.began.Add(1)
			return ctx, func(err error) {
				if err != nil {
					o.failed.Add(1)
				} else {
					o.succeeded.Add(1)
				}
			}
		},
		Stop: func(context.Context, *retry.Error) { o.stopped.Add(1) },
	}
}

func (o *observed) require(t *testing.T, began, failed, succeeded, stopped int32) {
	t.Helper()
	require.Equal(t, []int32{began, failed, succeeded, stopped},
		[]int32{o.began.Load(), o.failed.Load(), o.succeeded.Load(), o.stopped.Load()}, "began, failed, succeeded, stopped")
}

var chatting = &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}

// chat opens a stream on which the client may send more than one message, and sends one.
func chat(t *testing.T, conn *grpc.ClientConn) grpc.ClientStream {
	t.Helper()
	stream, err := conn.NewStream(t.Context(), chatting, "/a.S/Chat")
	require.NoError(t, err)
	require.NoError(t, stream.SendMsg(wrapperspb.String("hello")))
	return stream
}

// A message that cannot be sent ends the stream, and so the attempt: nobody will read an answer.
func TestSendFails(t *testing.T) {
	for _, desc := range []*grpc.StreamDesc{watching, chatting} {
		o, budget := new(observed), new(purse)
		_, conn := start(t, &retry.Options{Trace: o.trace(), Budget: budget}, always, []turn{fine})
		stream, err := conn.NewStream(t.Context(), desc, "/a.S/Watch", grpc.MaxCallSendMsgSize(1))
		require.NoError(t, err)
		o.require(t, 1, 0, 0, 0)
		err = stream.SendMsg(wrapperspb.String("too long"))
		require.Equal(t, codes.ResourceExhausted, status.Code(err))
		gaveUp, ok := errors.AsType[*retry.Error](err)
		require.True(t, ok)
		require.Equal(t, retry.PermanentError, gaveUp.Stop)
		o.require(t, 1, 1, 0, 1)
		require.Zero(t, budget.in)
		require.Error(t, stream.SendMsg(wrapperspb.String("too long")))
		require.Error(t, stream.RecvMsg(new(wrapperspb.StringValue)))
		o.require(t, 1, 1, 0, 1)
	}
}

// broken is a stream of an interceptor that cannot close the sending side, or get at a header.
type broken struct{ grpc.ClientStream }

var errBroken = errors.New("broken")

func (*broken) CloseSend() error             { return errBroken }
func (*broken) Header() (metadata.MD, error) { return nil, errBroken }

func TestBrokenStreams(t *testing.T) {
	for name, use := range map[string]func(grpc.ClientStream) error{
		"CloseSend": grpc.ClientStream.CloseSend,
		"Header":    func(s grpc.ClientStream) error { _, err := s.Header(); return err },
	} {
		t.Run(name, func(t *testing.T) {
			o := new(observed)
			_, conn := start(t, &retry.Options{Trace: o.trace()}, always, []turn{fine}, grpc.WithChainStreamInterceptor(
				func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
					stream, err := open(ctx, desc, cc, method, opts...)
					return &broken{stream}, err
				}))
			stream, err := conn.NewStream(t.Context(), watching, "/a.S/Watch")
			require.NoError(t, err)
			require.ErrorIs(t, use(stream), errBroken)
			o.require(t, 1, 1, 0, 1)
		})
	}
}

// What the client streams fills the budget by its first message or its end without an error, not by being opened.
func TestClientStreamsAndBudget(t *testing.T) {
	for _, c := range []struct {
		name                       string
		turn                       turn
		in                         int
		failed, succeeded, stopped int32
	}{
		{"fails", code(codes.Unavailable), 0, 1, 0, 1},
		{"fails after the header", turn{status: status.New(codes.Unavailable, "as told"), header: true}, 0, 1, 0, 1},
		{"is answered", code(codes.NotFound), 1, 0, 1, 0},
		{"ends", code(codes.OK), 1, 0, 1, 0},
		{"succeeds", fine, 1, 0, 1, 0},
		{"fails after the first message", turn{status: status.New(codes.Unavailable, "as told"), answers: 1}, 1, 0, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, budget := new(observed), new(purse)
			s, conn := start(t, &retry.Options{Budget: budget, Trace: o.trace()}, always, []turn{c.turn})
			stream := chat(t, conn)
			require.Zero(t, budget.in)
			o.require(t, 1, 0, 0, 0)
			if c.turn.header {
				md, err := stream.Header()
				require.NoError(t, err)
				require.NotNil(t, md)
				require.Zero(t, budget.in)
			}
			n, err := read(stream)
			require.Equal(t, c.turn.answers, n)
			require.Equal(t, c.turn.status.Code(), status.Code(err))
			if err != nil {
				require.Equal(t, "as told", status.Convert(err).Message())
			}
			_, gaveUp := errors.AsType[*retry.Error](err)
			require.Equal(t, c.stopped == 1, gaveUp)
			require.Equal(t, c.in, budget.in)
			require.Zero(t, budget.out)
			require.Equal(t, 1, s.count())
			o.require(t, 1, c.failed, c.succeeded, c.stopped)
		})
	}
}

// A header means that there is no other attempt, not that it has succeeded.
func TestHeaderIsNoSuccess(t *testing.T) {
	o, budget := new(observed), new(purse)
	_, conn := start(t, &retry.Options{Budget: budget, Trace: o.trace()}, always,
		[]turn{{status: status.New(codes.Unavailable, "later"), header: true}})
	stream, err := watch(t.Context(), conn)
	require.NoError(t, err)
	md, err := stream.Header()
	require.NoError(t, err)
	require.NotNil(t, md)
	_, err = read(stream)
	require.Equal(t, codes.Unavailable, status.Code(err))
	require.Zero(t, budget.in)
	o.require(t, 1, 1, 0, 1)
}

// Whoever has asked for the context does not get another stream below it.
func TestNothingAfterContext(t *testing.T) {
	s, conn := start(t, nil, always, []turn{code(codes.Unavailable)})
	stream, err := watch(t.Context(), conn)
	require.NoError(t, err)
	_ = stream.Context()
	_, err = read(stream)
	require.Equal(t, codes.Unavailable, status.Code(err))
	require.Equal(t, 1, s.count())
}

// While a failed attempt is being repeated its context is dead, so the caller's takes its place; there is one attempt more.
func TestContextBetweenAttempts(t *testing.T) {
	for name, next := range map[string]turn{"fails": code(codes.Unavailable), "succeeds": fine} {
		t.Run(name, func(t *testing.T) {
			type key struct{}
			ctx := context.WithValue(t.Context(), key{}, true)
			var stream grpc.ClientStream
			var between context.Context
			s, conn := start(t, &retry.Options{Attempts: 5, Delay: time.Millisecond, Trace: &retry.Trace{
				Wait: func(context.Context, retry.Wait) { between = stream.Context() },
			}}, always, []turn{code(codes.Unavailable), next})
			stream, err := watch(ctx, conn)
			require.NoError(t, err)
			_, err = read(stream)
			require.Equal(t, next.status.Code(), status.Code(err))
			require.Equal(t, 2, s.count())
			require.Equal(t, []string{"hello", "hello"}, s.received)
			require.NoError(t, between.Err())
			require.Equal(t, true, between.Value(key{}))
		})
	}
}

// Hooks may call the stream: nothing is locked while they run.
func TestHooksThatCallTheStream(t *testing.T) {
	for name, turns := range map[string][]turn{
		"success": {fine}, "second attempt": {code(codes.Unavailable), fine}, "failure": {code(codes.Unavailable)},
		"answer": {code(codes.NotFound)}, "left": {{hang: true}},
	} {
		for _, desc := range []*grpc.StreamDesc{watching, chatting} {
			t.Run(name, func(t *testing.T) {
				var stream atomic.Pointer[grpc.ClientStream]
				ended := make(chan struct{}, 10)
				use := func() {
					if s := stream.Load(); s != nil {
						_, _, _ = (*s).CloseSend(), (*s).Trailer(), (*s).Context()
					}
				}
				_, conn := start(t, &retry.Options{Delay: time.Millisecond, Trace: &retry.Trace{
					Attempt: func(ctx context.Context, _ int) (context.Context, func(error)) {
						use()
						return ctx, func(error) { use(); ended <- struct{}{} }
					},
					Wait: func(context.Context, retry.Wait) { use() },
					Stop: func(context.Context, *retry.Error) { use() },
				}}, always, turns)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				s, err := conn.NewStream(ctx, desc, "/a.S/Watch")
				require.NoError(t, err)
				stream.Store(&s)
				require.NoError(t, s.SendMsg(wrapperspb.String("hello")))
				require.NoError(t, s.CloseSend())
				if name == "left" {
					cancel()
				} else {
					_, _ = read(s)
				}
				<-ended
			})
		}
	}
}

// Each attempt that began ends once, whoever is first, and nobody is told more than one outcome.
func TestManyStreams(t *testing.T) {
	turns := make([]turn, 2000)
	for i := range turns {
		switch i % 5 {
		case 0:
			turns[i] = fine
		case 1:
			turns[i] = turn{status: status.New(codes.OK, ""), answers: 3, header: true}
		case 2:
			turns[i] = turn{hang: true}
		default:
			turns[i] = turn{status: status.New(codes.Unavailable, "x"), trailer: metadata.MD{"grpc-retry-pushback-ms": {"1"}}}
		}
	}
	o := new(observed)
	_, conn := start(t, &retry.Options{Delay: time.Millisecond, Attempts: 6, Trace: o.trace()}, always, turns)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 40 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+rand.N(20))*time.Millisecond)
				useAtOnce(ctx, cancel, conn, g+i)
				cancel()
			}
		})
	}
	wg.Wait()
	require.Eventually(t, func() bool { return o.began.Load() == o.failed.Load()+o.succeeded.Load() }, 5*time.Second, time.Millisecond)
}

// useAtOnce uses a stream from several goroutines, in a way that i picks.
func useAtOnce(ctx context.Context, cancel context.CancelFunc, conn *grpc.ClientConn, i int) {
	desc := watching
	if i%3 == 0 {
		desc = chatting
	}
	stream, err := conn.NewStream(ctx, desc, "/a.S/Watch")
	if err != nil {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = stream.SendMsg(wrapperspb.String("hello")), stream.CloseSend() })
	if i%4 == 0 {
		wg.Go(func() { _, _ = stream.Header() })
	}
	if i%5 == 0 {
		wg.Go(func() { _ = stream.Context().Err() })
	}
	if i%6 == 0 {
		wg.Go(cancel)
	}
	_, _ = read(stream)
	wg.Wait()
}
