package grpcretry_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/concordkit/concord/breaker"
	"github.com/concordkit/concord/breaker/grpcbreaker"
	"github.com/concordkit/concord/retry"
	"github.com/concordkit/concord/retry/grpcretry"
)

// turn is what the server does with one call.
type turn struct {
	status  *status.Status
	trailer metadata.MD
	header  bool // sent before the status
	answers int  // messages before the status
	hang    bool
}

func code(c codes.Code) turn { return turn{status: status.New(c, "as told")} }

// server takes one turn after the other, the last one again and again.
type server struct {
	mu       sync.Mutex
	turns    []turn
	calls    int
	received []string
	previous [][]string // metadata of each call
	other    []string   // of the last one
}

func (s *server) take(ctx context.Context) turn {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	md, _ := metadata.FromIncomingContext(ctx)
	s.previous = append(s.previous, md["grpc-previous-rpc-attempts"])
	s.other = md["a"]
	return s.turns[min(s.calls, len(s.turns))-1]
}

func (s *server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func (s *server) handle(_ any, ss grpc.ServerStream) error {
	turn := s.take(ss.Context())
	message := new(wrapperspb.StringValue)
	if err := ss.RecvMsg(message); err != nil {
		return err
	}
	s.mu.Lock()
	s.received = append(s.received, message.Value)
	s.mu.Unlock()
	if turn.hang {
		<-ss.Context().Done()
		return ss.Context().Err()
	}
	if turn.header {
		if err := ss.SendHeader(metadata.MD{"a": {"b"}}); err != nil {
			return err
		}
	}
	for range turn.answers {
		if err := ss.SendMsg(wrapperspb.String("answer")); err != nil {
			return err
		}
	}
	ss.SetTrailer(turn.trailer)
	return turn.status.Err()
}

var fine = turn{status: status.New(codes.OK, ""), answers: 1}

// always says that each method may be called twice.
var always = &grpcretry.Options{Idempotent: func(string) bool { return true }}

func start(t *testing.T, p *retry.Options, o *grpcretry.Options, turns []turn, more ...grpc.DialOption) (*server, *grpc.ClientConn) {
	t.Helper()
	s := &server{turns: turns}
	lis := bufconn.Listen(1 << 20)
	srv := grpc.NewServer(grpc.UnknownServiceHandler(s.handle))
	done := make(chan error, 1)
	go func() { done <- srv.Serve(lis) }()
	t.Cleanup(func() {
		srv.Stop()
		require.NoError(t, <-done)
	})
	if p == nil {
		p = &retry.Options{Delay: time.Millisecond}
	}
	policy, err := retry.New(p)
	require.NoError(t, err)
	conn, err := grpc.NewClient("passthrough:///server", append(append(grpcretry.New(policy, o).DialOptions(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }),
	), more...)...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return s, conn
}

func unary(ctx context.Context, conn *grpc.ClientConn, opts ...grpc.CallOption) error {
	return conn.Invoke(ctx, "/a.S/M", wrapperspb.String("hello"), new(wrapperspb.StringValue), opts...)
}

var watching = &grpc.StreamDesc{ServerStreams: true}

// watch opens a stream as generated code does.
func watch(ctx context.Context, conn *grpc.ClientConn) (grpc.ClientStream, error) {
	stream, err := conn.NewStream(ctx, watching, "/a.S/Watch")
	if err != nil {
		return nil, err
	}
	if err := stream.SendMsg(wrapperspb.String("hello")); err != nil {
		return nil, err
	}
	return stream, stream.CloseSend()
}

// read reads n messages, and returns how the stream ended.
func read(stream grpc.ClientStream) (n int, err error) {
	for {
		if err := stream.RecvMsg(new(wrapperspb.StringValue)); err != nil {
			if err == io.EOF {
				err = nil
			}
			return n, err
		}
		n++
	}
}

func streaming(ctx context.Context, conn *grpc.ClientConn, _ ...grpc.CallOption) error {
	stream, err := watch(ctx, conn)
	if err != nil {
		return err
	}
	_, err = read(stream)
	return err
}

var calls = map[string]func(context.Context, *grpc.ClientConn, ...grpc.CallOption) error{"unary": unary, "stream": streaming}

func TestCodes(t *testing.T) {
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			for c := codes.Canceled; c <= codes.Unauthenticated; c++ {
				s, conn := start(t, nil, always, []turn{code(c)})
				err := call(t.Context(), conn)
				require.Equal(t, c, status.Code(err))
				require.Equal(t, "as told", status.Convert(err).Message())
				if c == codes.Unavailable {
					require.Equal(t, 3, s.count())
					require.Equal(t, []string{"hello", "hello", "hello"}, s.received)
					require.Equal(t, [][]string{nil, {"1"}, {"2"}}, s.previous)
					gaveUp, ok := errors.AsType[*retry.Error](err)
					require.True(t, ok)
					require.Equal(t, 3, gaveUp.Attempts)
					require.False(t, gaveUp.NotApplied(), "Unavailable proves nothing")
				} else {
					require.Equal(t, 1, s.count(), c)
				}
			}
		})
	}
}

func TestSecondAttemptSucceeds(t *testing.T) {
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			s, conn := start(t, nil, always, []turn{code(codes.Unavailable), fine})
			require.NoError(t, call(t.Context(), conn))
			require.Equal(t, 2, s.count())
		})
	}
}

func TestUnsafeMethods(t *testing.T) {
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			s, conn := start(t, nil, nil, []turn{code(codes.Unavailable)})
			err := call(t.Context(), conn)
			require.Equal(t, codes.Unavailable, status.Code(err))
			require.ErrorContains(t, err, "may have been applied")
			require.Equal(t, 1, s.count())
		})
	}
}

// repeating is a service config that asks for retries.
const repeating = `{"methodConfig":[{"name":[{}],"retryPolicy":{"maxAttempts":5,"initialBackoff":"0.001s",` +
	`"maxBackoff":"0.001s","backoffMultiplier":1,"retryableStatusCodes":["UNAVAILABLE"]}}]}`

// Where there was no connection nothing can have been done.
func TestNoConnection(t *testing.T) {
	nobody := grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return nil, errors.New("nobody there") })
	for name, call := range calls {
		for _, config := range []string{"{}", repeating} {
			t.Run(name+config, func(t *testing.T) {
				attempts := 0
				p := &retry.Options{Delay: time.Millisecond, Trace: counting(&attempts)}
				check := func(conn *grpc.ClientConn, known bool, why string) {
					attempts = 0
					err := call(t.Context(), conn)
					require.Equal(t, codes.Unavailable, status.Code(err))
					gaveUp, ok := errors.AsType[*retry.Error](err)
					require.True(t, ok)
					require.Equal(t, known, gaveUp.NotApplied(), why)
					require.Equal(t, gaveUp.Attempts, attempts)
					require.Equal(t, known, attempts == 3, why)
				}
				_, conn := start(t, p, nil, []turn{fine}, grpc.WithDefaultServiceConfig(config), nobody)
				check(conn, true, "DialOptions switch off the retries of a service config")

				policy, err := retry.New(p)
				require.NoError(t, err)
				r := grpcretry.New(policy, nil)
				conn, err = grpc.NewClient("passthrough:///server", grpc.WithTransportCredentials(insecure.NewCredentials()), nobody,
					grpc.WithDefaultServiceConfig(config), grpc.WithUnaryInterceptor(r.Unary), grpc.WithStreamInterceptor(r.Stream))
				require.NoError(t, err)
				check(conn, config == "{}", "below a service config that repeats it is no proof")
				require.NoError(t, conn.Close())
			})
		}
	}
}

// An interceptor that is called without a connection knows less, and works.
func TestNilConn(t *testing.T) {
	r := grpcretry.New(nil, nil)
	calls := 0
	err := r.Unary(t.Context(), "/a.S/M", nil, nil, nil,
		func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
			calls++
			return status.Error(codes.Unavailable, "x")
		})
	require.Equal(t, codes.Unavailable, status.Code(err))
	require.Equal(t, 1, calls)
	_, err = r.Stream(t.Context(), watching, nil, "/a.S/Watch",
		func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
			calls++
			return nil, status.Error(codes.Unavailable, "x")
		})
	require.Equal(t, codes.Unavailable, status.Code(err))
	require.Equal(t, 2, calls)
	gaveUp, ok := errors.AsType[*retry.Error](err)
	require.True(t, ok)
	require.False(t, gaveUp.NotApplied())
}

func counting(n *int) *retry.Trace {
	return &retry.Trace{Attempt: func(ctx context.Context, _ int) (context.Context, func(error)) { *n++; return ctx, nil }}
}

// The retries of a service config are off.
func TestServiceConfig(t *testing.T) {
	s, conn := start(t, nil, always, []turn{code(codes.Unavailable)}, grpc.WithDefaultServiceConfig(repeating))
	require.Error(t, unary(t.Context(), conn))
	require.Equal(t, 3, s.count(), "not 15")
}

func TestPushback(t *testing.T) {
	push := func(c codes.Code, values ...string) turn {
		return turn{status: status.New(c, "as told"), trailer: metadata.MD{"grpc-retry-pushback-ms": values}}
	}
	delay, err := proto.Marshal(durationpb.New(30 * time.Millisecond))
	require.NoError(t, err)
	detail := &anypb.Any{
		TypeUrl: "type.googleapis.com/google.rpc.RetryInfo",
		Value:   protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), delay),
	}
	informed := status.New(codes.ResourceExhausted, "quota").Proto()
	informed.Details = append(informed.Details, detail)
	for name, call := range calls {
		for _, c := range []struct {
			name  string
			turn  turn
			calls int
		}{
			{"wait", push(codes.Unavailable, "30"), 2},
			{"wait where it is no default", push(codes.ResourceExhausted, "30"), 2},
			{"an answer stays one", push(codes.NotFound, "30"), 1},
			{"never", push(codes.Unavailable, "-1"), 1},
			{"unreadable", push(codes.Unavailable, "soon"), 1},
			{"twice", push(codes.Unavailable, "1", "1"), 1},
			{"too long", push(codes.Unavailable, "40000"), 1},
			{"RetryInfo", turn{status: status.FromProto(informed)}, 2},
		} {
			t.Run(name+" "+c.name, func(t *testing.T) {
				s, conn := start(t, &retry.Options{Delay: -1}, always, []turn{c.turn, fine})
				before := time.Now()
				err := call(t.Context(), conn)
				require.Equal(t, c.calls, s.count())
				if c.calls == 1 {
					require.Equal(t, c.turn.status.Code(), status.Code(err))
					return
				}
				require.NoError(t, err)
				require.GreaterOrEqual(t, time.Since(before), 30*time.Millisecond)
			})
		}
	}
}

func TestTheCallersEnd(t *testing.T) {
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			s, conn := start(t, &retry.Options{Delay: time.Hour, Jitter: retry.NoJitter}, always, []turn{code(codes.Unavailable)})
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(50*time.Millisecond, cancel)
			err := call(ctx, conn)
			require.Equal(t, codes.Canceled, status.Code(err))
			require.ErrorIs(t, err, context.Canceled)
			require.Equal(t, 1, s.count())
			err = call(ctx, conn)
			require.Equal(t, codes.Canceled, status.Code(err))
			require.Equal(t, 1, s.count())

			deadline, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			err = call(deadline, conn)
			require.Equal(t, codes.Unavailable, status.Code(err), "a wait that does not fit is not begun")
			require.NoError(t, deadline.Err())
		})
	}
}

func TestTimeout(t *testing.T) {
	p := &retry.Options{Timeout: 50 * time.Millisecond, Delay: -1}
	s, conn := start(t, p, always, []turn{{hang: true}, fine})
	require.NoError(t, unary(t.Context(), conn))
	require.Equal(t, 2, s.count())

	s, conn = start(t, p, always, []turn{code(codes.Unavailable), {hang: true}})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	require.Equal(t, codes.DeadlineExceeded, status.Code(streaming(ctx, conn)))
	require.Equal(t, 2, s.count(), "it is not for streams")
}

// A DeadlineExceeded that is not of the Timeout is the server's own.
func TestDeadlineExceededBeforeTheTimeout(t *testing.T) {
	s, conn := start(t, &retry.Options{Timeout: time.Hour, Delay: -1}, always, []turn{code(codes.DeadlineExceeded)})
	require.Equal(t, codes.DeadlineExceeded, status.Code(unary(t.Context(), conn)))
	require.Equal(t, 1, s.count())
}

// Whoever sets Classify is obeyed, also where the Timeout has passed.
func TestClassifyOfTimeouts(t *testing.T) {
	for decision, calls := range map[retry.Decision]int{retry.Stop: 1, retry.Unsure: 1, retry.Retry: 2} {
		o := &grpcretry.Options{Idempotent: always.Idempotent, Classify: func(*status.Status) retry.Verdict {
			return retry.Verdict{Decision: decision}
		}}
		p := &retry.Options{Timeout: 30 * time.Millisecond, Delay: -1, Attempts: 2}
		s, conn := start(t, p, o, []turn{{hang: true}})
		err := unary(t.Context(), conn)
		require.Equal(t, codes.DeadlineExceeded, status.Code(err))
		require.Equal(t, calls, s.count())
		_, gaveUp := errors.AsType[*retry.Error](err)
		require.Equal(t, decision != retry.Unsure, gaveUp)
	}
}

func TestNothingAfterTheFirstMessage(t *testing.T) {
	s, conn := start(t, nil, always, []turn{{status: status.New(codes.Unavailable, "later"), answers: 2}})
	stream, err := watch(t.Context(), conn)
	require.NoError(t, err)
	n, err := read(stream)
	require.Equal(t, 2, n)
	require.Equal(t, codes.Unavailable, status.Code(err))
	require.Equal(t, 1, s.count())
	require.NotNil(t, stream.Context())
	_ = stream.Trailer()
}

func TestNothingAfterTheHeader(t *testing.T) {
	s, conn := start(t, nil, always, []turn{{status: status.New(codes.Unavailable, "later"), header: true}})
	stream, err := watch(t.Context(), conn)
	require.NoError(t, err)
	md, err := stream.Header()
	require.NoError(t, err)
	require.Equal(t, []string{"b"}, md["a"])
	_, err = read(stream)
	require.Equal(t, codes.Unavailable, status.Code(err))
	require.Equal(t, 1, s.count())
}

// What the client streams is not kept.
func TestClientStreams(t *testing.T) {
	s, conn := start(t, nil, always, []turn{code(codes.Unavailable)})
	stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/a.S/Chat")
	require.NoError(t, err)
	require.NoError(t, stream.SendMsg(wrapperspb.String("hello")))
	_, err = read(stream)
	require.Equal(t, codes.Unavailable, status.Code(err))
	require.Equal(t, 1, s.count())
}

// A stream that nobody reads any more ends its attempt with its context.
func TestAbandonedStream(t *testing.T) {
	ended := make(chan error, 1)
	stopped := make(chan *retry.Error, 1)
	_, conn := start(t, &retry.Options{Timeout: time.Hour, Trace: &retry.Trace{
		Attempt: func(ctx context.Context, _ int) (context.Context, func(error)) {
			return ctx, func(err error) { ended <- err }
		},
		Stop: func(_ context.Context, e *retry.Error) { stopped <- e },
	}}, always, []turn{{hang: true}})
	ctx, cancel := context.WithCancel(t.Context())
	_, err := watch(ctx, conn)
	require.NoError(t, err)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.Equal(t, retry.ContextEnded, (<-stopped).Stop)
}

func TestClassify(t *testing.T) {
	s, conn := start(t, nil, &grpcretry.Options{
		Idempotent: func(method string) bool { return method == "/a.S/M" },
		Classify: func(s *status.Status) retry.Verdict {
			if s.Code() == codes.Aborted {
				return retry.Verdict{Decision: retry.Retry}
			}
			return grpcretry.Classify(s)
		},
	}, []turn{code(codes.Aborted)})
	require.Equal(t, codes.Aborted, status.Code(unary(t.Context(), conn)))
	require.Equal(t, 3, s.count())
	require.Error(t, streaming(t.Context(), conn))
	require.Equal(t, 4, s.count())
}

// Answers fill the budget, failures do not.
func TestBudget(t *testing.T) {
	budget := new(purse)
	_, conn := start(t, &retry.Options{Budget: budget, Delay: -1}, always, []turn{code(codes.NotFound), fine, code(codes.Internal)})
	for _, in := range []int{1, 2, 2} {
		_ = unary(t.Context(), conn)
		require.Equal(t, in, budget.in)
	}
	require.Zero(t, budget.out)
}

// purse counts what goes in and out.
type purse struct{ in, out int }

func (p *purse) Deposit()       { p.in++ }
func (p *purse) Withdraw() bool { p.out++; return true }
func (p *purse) Name() string   { return "purse" }

// The count of attempts is that of this layer.
func TestPreviousAttempts(t *testing.T) {
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			s, conn := start(t, nil, always, []turn{code(codes.Unavailable)})
			ctx := metadata.AppendToOutgoingContext(t.Context(), "grpc-previous-rpc-attempts", "7", "a", "b")
			require.Error(t, call(ctx, conn))
			require.Equal(t, [][]string{{"7"}, {"1"}, {"2"}}, s.previous)
			require.Equal(t, []string{"b"}, s.other)
			md, _ := metadata.FromOutgoingContext(ctx)
			require.Equal(t, []string{"7"}, md["grpc-previous-rpc-attempts"], "the caller's own is not changed")
		})
	}
}

// fated is an error that says something of its fate.
type fated struct {
	error
	notApplied, unknown bool
}

func (f *fated) Unwrap() error        { return f.error }
func (f *fated) NotApplied() bool     { return f.notApplied }
func (f *fated) UnknownOutcome() bool { return f.unknown }

// What errors of interceptors say is read by the rules of the policy. None of these calls went out, which is known of those
// that say nothing.
func TestFate(t *testing.T) {
	plain := status.Error(codes.Unavailable, "x")
	not := &fated{error: plain, notApplied: true}
	unknown := &fated{error: plain, unknown: true}
	sure := &grpcretry.Options{Classify: func(*status.Status) retry.Verdict {
		return retry.Verdict{Decision: retry.Retry, Applied: retry.NotApplied}
	}}
	for _, c := range []struct {
		name  string
		err   error
		o     *grpcretry.Options
		calls int
	}{
		{"says nothing", plain, nil, 3},
		{"not applied", not, nil, 3},
		{"maybe applied", &fated{error: plain}, nil, 1},
		{"unknown", unknown, nil, 1},
		{"unknown around not applied", &fated{error: not, unknown: true}, nil, 1},
		{"not applied around unknown", &fated{error: unknown, notApplied: true}, nil, 1},
		{"joined, both not applied", errors.Join(not, not), nil, 3},
		{"joined, one silent", errors.Join(not, plain), nil, 1},
		{"joined, one unknown", errors.Join(not, unknown), nil, 1},
		{"a classifier is sure", plain, sure, 3},
		{"a classifier is sure of what is unknown", unknown, sure, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := 0
			_, conn := start(t, &retry.Options{Delay: -1}, c.o, []turn{fine},
				grpc.WithChainUnaryInterceptor(
					func(context.Context, string, any, any, *grpc.ClientConn, grpc.UnaryInvoker, ...grpc.CallOption) error {
						n++
						return c.err
					}),
				grpc.WithChainStreamInterceptor(
					func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, grpc.Streamer, ...grpc.CallOption) (grpc.ClientStream, error) {
						n++
						return nil, c.err
					}))
			for name, call := range calls {
				n = 0
				require.ErrorIs(t, call(t.Context(), conn), plain)
				require.Equal(t, c.calls, n, name)
			}
		})
	}
}

// register makes methods with the option known, which a process can do once.
var register = sync.OnceValue(func() error {
	level := func(name string, l descriptorpb.MethodOptions_IdempotencyLevel) *descriptorpb.MethodDescriptorProto {
		return &descriptorpb.MethodDescriptorProto{
			Name: &name, InputType: proto.String(".google.protobuf.Empty"), OutputType: proto.String(".google.protobuf.Empty"),
			Options: &descriptorpb.MethodOptions{IdempotencyLevel: &l},
		}
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("grpcretry_test.proto"), Package: proto.String("grpcretry.test"),
		Dependency: []string{emptypb.File_google_protobuf_empty_proto.Path()},
		Service: []*descriptorpb.ServiceDescriptorProto{{Name: proto.String("S"), Method: []*descriptorpb.MethodDescriptorProto{
			level("Get", descriptorpb.MethodOptions_NO_SIDE_EFFECTS), level("Put", descriptorpb.MethodOptions_IDEMPOTENT),
			level("Add", descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN),
		}}},
	}, protoregistry.GlobalFiles)
	if err != nil {
		return err
	}
	return protoregistry.GlobalFiles.RegisterFile(file)
})

func TestProtoOption(t *testing.T) {
	require.NoError(t, register())
	for method, want := range map[string]int{
		"/grpcretry.test.S/Get": 3, "/grpcretry.test.S/Put": 3, "/grpcretry.test.S/Add": 1, "/grpcretry.test.S/Other": 1,
		"/grpcretry.test/S": 1, "/google.protobuf/Empty": 1,
	} {
		s, conn := start(t, nil, nil, []turn{code(codes.Unavailable)})
		require.Error(t, conn.Invoke(t.Context(), method, wrapperspb.String("hello"), new(wrapperspb.StringValue)))
		require.Equal(t, want, s.count(), method)
	}
}

func TestBreakerBelow(t *testing.T) {
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			set, err := breaker.NewSet(&breaker.SetOptions{Breaker: breaker.Options{
				Rules: breaker.Rules{FailureRate: -1, Consecutive: 2}, OpenFor: 100 * time.Millisecond, Jitter: -1,
			}})
			require.NoError(t, err)
			guard, err := grpcbreaker.New(set, nil)
			require.NoError(t, err)
			turns := []turn{code(codes.Unavailable), code(codes.Unavailable), fine}
			s, conn := start(t, &retry.Options{Attempts: 5, Delay: -1}, always, turns, guard.DialOptions()...)
			err = call(t.Context(), conn)
			require.ErrorIs(t, err, breaker.ErrOpen)
			require.Equal(t, codes.Unavailable, status.Code(err))
			require.Equal(t, 2, s.count(), "each attempt counts, and an open breaker stops the next")

			set.Get("passthrough:///server").Reset("test")
			s, conn = start(t, &retry.Options{Attempts: 5, Delay: -1, AwaitOpen: true}, always, turns, guard.DialOptions()...)
			before := time.Now()
			require.NoError(t, call(t.Context(), conn))
			require.Equal(t, 3, s.count())
			require.GreaterOrEqual(t, time.Since(before), 90*time.Millisecond, "or is waited for")

			require.NoError(t, set.Get("passthrough:///server").Trip("test", 50*time.Millisecond))
			_, conn = start(t, &retry.Options{Delay: -1, AwaitOpen: true}, nil, []turn{fine}, guard.DialOptions()...)
			require.NoError(t, call(t.Context(), conn), "also by a method that must not be called twice")
		})
	}
}
