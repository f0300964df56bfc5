package redisretry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/retry"
)

type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

func TestReplies(t *testing.T) {
	for text, want := range map[string]retry.Verdict{
		"LOADING Redis is loading the dataset in memory":             {Decision: retry.Retry, Applied: retry.NotApplied, Reason: "LOADING"},
		"ERR max number of clients reached":                          {Decision: retry.Retry, Applied: retry.NotApplied, Reason: "max number of clients"},
		"BUSY Redis is busy running a script.":                       {Decision: retry.Retry, Applied: retry.NotApplied, Reason: "BUSY"},
		"BUSYGROUP Consumer Group name already exists":               {Decision: retry.Stop, Reason: "BUSYGROUP"},
		"TRYAGAIN Multiple keys request during rehashing of slot":    {Decision: retry.Retry, Applied: retry.NotApplied, Reason: "TRYAGAIN"},
		"CLUSTERDOWN The cluster is down":                            {Decision: retry.Retry, Applied: retry.NotApplied, Reason: "CLUSTERDOWN"},
		"MASTERDOWN Link with MASTER is down":                        {Decision: retry.Retry, Applied: retry.NotApplied, Reason: "MASTERDOWN"},
		"READONLY You can't write against a read only replica.":      {Decision: retry.Retry, Applied: retry.NotApplied, Reason: "READONLY"},
		"NOREPLICAS Not enough good replicas to write.":              {Decision: retry.Retry, Applied: retry.NotApplied, Reason: "NOREPLICAS"},
		"MOVED 3999 127.0.0.1:6381":                                  {Decision: retry.Retry, Applied: retry.NotApplied, Reason: "MOVED"},
		"ASK 3999 127.0.0.1:6381":                                    {Decision: retry.Retry, Applied: retry.NotApplied, Reason: "ASK"},
		"OOM command not allowed when used memory > 'maxmemory'.":    {Decision: retry.Stop, Applied: retry.NotApplied, Reason: "OOM"},
		"MISCONF Redis is configured to save RDB snapshots":          {Decision: retry.Stop, Applied: retry.NotApplied, Reason: "MISCONF"},
		"NOAUTH Authentication required.":                            {Decision: retry.Stop, Applied: retry.NotApplied, Reason: "NOAUTH"},
		"WRONGPASS invalid username-password pair":                   {Decision: retry.Stop, Applied: retry.NotApplied, Reason: "WRONGPASS"},
		"NOPERM this user has no permissions":                        {Decision: retry.Stop, Applied: retry.NotApplied, Reason: "NOPERM"},
		"CROSSSLOT Keys in request don't hash to the same slot":      {Decision: retry.Stop, Applied: retry.NotApplied, Reason: "CROSSSLOT"},
		"NOSCRIPT No matching script. Please use EVAL.":              {Decision: retry.Stop, Applied: retry.NotApplied, Reason: "NOSCRIPT"},
		"EXECABORT Transaction discarded because of previous errors": {Decision: retry.Stop, Applied: retry.NotApplied, Reason: "EXECABORT"},
		"WRONGTYPE Operation against a key":                          {Decision: retry.Stop, Reason: "WRONGTYPE"},
		"ERR unknown command 'X'":                                    {Decision: retry.Stop, Reason: "ERR"},
		"":                                                           {Decision: retry.Stop},
		// What a script has met, it may have met after a write.
		"OOM command not allowed. script: e0e1f9fa, on @user_script:1.":                              {Decision: retry.Stop, Reason: "OOM"},
		"READONLY You can't write against a read only replica. script: f, on @user_function:2.":      {Decision: retry.Retry, Reason: "READONLY"},
		"ERR Error running script (call to f_1): @user_script:1: READONLY You can't write against a": {Decision: retry.Stop, Reason: "ERR"},
	} {
		require.Equal(t, want, ClassifySingle(reply(text)), text)
		require.Equal(t, want, ClassifySingle(fmt.Errorf("wrapped: %w", reply(text))), text)
		want.Applied = retry.Unknown
		require.Equal(t, want, Classify(reply(text)), "a client that repeats by itself: %s", text)
	}
}

func TestClientErrors(t *testing.T) {
	timeout := &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}
	for _, c := range []struct {
		err  error
		want retry.Verdict
	}{
		{redis.Nil, retry.Verdict{Decision: retry.Stop, Applied: retry.WasApplied, Reason: "nil"}},
		{redis.TxFailedErr, retry.Verdict{Decision: retry.Retry, Applied: retry.NotApplied, Reason: "transaction failed"}},
		{redis.ErrClosed, retry.Verdict{Decision: retry.Stop, Applied: retry.NotApplied, Reason: "client closed"}},
		{redis.ErrPoolTimeout, retry.Verdict{Decision: retry.Retry, Applied: retry.NotApplied, Reason: "pool timeout"}},
		{redis.ErrPoolExhausted, retry.Verdict{Decision: retry.Retry, Applied: retry.NotApplied, Reason: "pool exhausted"}},
		{&net.OpError{Op: "dial", Err: errors.New("refused")}, retry.Verdict{Decision: retry.Retry, Applied: retry.NotApplied, Reason: "dial"}},
		{timeout, retry.Verdict{Decision: retry.Retry, Reason: "connection"}},
		{io.EOF, retry.Verdict{Decision: retry.Retry, Reason: "connection"}},
		{io.ErrUnexpectedEOF, retry.Verdict{Decision: retry.Retry, Reason: "connection"}},
		{errors.New("of another"), retry.Verdict{}},
		{context.Canceled, retry.Verdict{}},
	} {
		require.Equal(t, c.want, ClassifySingle(c.err), "%v", c.err)
		require.Equal(t, c.want, ClassifySingle(fmt.Errorf("wrapped: %w", c.err)), "%v", c.err)
		if c.want.Applied == retry.NotApplied {
			c.want.Applied = retry.Unknown
		}
		require.Equal(t, c.want, Classify(c.err), "%v", c.err)
	}
}

func FuzzClassify(f *testing.F) {
	f.Add("LOADING x")
	f.Add("ERR max number of clients reached")
	f.Add(" @user_")
	f.Fuzz(func(t *testing.T, text string) {
		v := ClassifySingle(reply(text))
		if v.Decision == retry.Unsure || v.Applied == retry.NotApplied && strings.Contains(text, "@user_") {
			t.Fatalf("%q is judged %+v", text, v)
		}
		if v := Classify(reply(text)); v.Applied != retry.Unknown {
			t.Fatalf("%q is judged %+v for any client", text, v)
		}
	})
}

// TestAllRepliesAreWords keeps the table reachable: a code is the first word of a reply.
func TestAllRepliesAreWords(t *testing.T) {
	for c := range replies {
		require.True(t, c == maxClients || code(c+" text") == c, c)
	}
}

func TestClientsThatCannotRetry(t *testing.T) {
	err := AddTo(nil, nil)
	require.ErrorIs(t, err, retry.ErrInvalid)
	require.EqualError(t, err, "redisretry: retry: invalid: nil client")
	rdb := redis.NewClient(&redis.Options{})
	defer rdb.Close()
	err = AddTo(rdb, nil)
	require.ErrorIs(t, err, retry.ErrInvalid)
	require.EqualError(t, err, "redisretry: retry: invalid: MaxRetries 3: want -1, or the client repeats by itself")
	once := redis.NewClient(&redis.Options{MaxRetries: -1})
	defer once.Close()
	err = AddTo(once, &retry.Options{Attempts: 2_000_000_000})
	require.ErrorIs(t, err, retry.ErrInvalid)
	require.ErrorContains(t, err, "redisretry: retry: invalid: Attempts 2000000000: want")
}

// fails is a hook below that of AddTo, in the place of a server.
type fails struct {
	hook
	errs  []error
	calls *int
}

func (f fails) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(context.Context, redis.Cmder) error {
		err := f.errs[*f.calls]
		*f.calls++
		return err
	}
}

func TestCommandsRetry(t *testing.T) {
	dial := &net.OpError{Op: "dial", Err: errors.New("refused")}
	for _, c := range []struct {
		name  string
		o     retry.Options
		errs  []error
		calls int
		check func(t *testing.T, err error)
	}{
		{"until success", retry.Options{}, []error{io.EOF, reply("LOADING"), nil}, 3, func(t *testing.T, err error) {
			require.NoError(t, err)
		}},
		{"nil is bare", retry.Options{}, []error{io.EOF, redis.Nil}, 2, func(t *testing.T, err error) {
			require.True(t, err == redis.Nil, "%v", err) //nolint:errorlint // callers compare
		}},
		{"a refusal is bare", retry.Options{}, []error{reply("NOSCRIPT x")}, 1, func(t *testing.T, err error) {
			require.Equal(t, reply("NOSCRIPT x"), err)
		}},
		{"out of attempts", retry.Options{Attempts: 2}, []error{io.EOF, dial}, 2, func(t *testing.T, err error) {
			e, ok := errors.AsType[*retry.Error](err)
			require.True(t, ok)
			require.Equal(t, retry.OutOfAttempts, e.Stop)
			require.ErrorIs(t, err, dial)
			require.False(t, e.NotApplied(), "the first may have been done")
		}},
		{"unsafe", retry.Options{Unsafe: true}, []error{dial, io.EOF}, 2, func(t *testing.T, err error) {
			e, ok := errors.AsType[*retry.Error](err)
			require.True(t, ok)
			require.Equal(t, retry.UnsafeRepeat, e.Stop)
		}},
		{"the caller's classifier is first", retry.Options{Classify: func(err error) retry.Verdict {
			if errors.Is(err, io.EOF) {
				return retry.Verdict{Decision: retry.Stop}
			}
			return retry.Verdict{}
		}}, []error{dial, io.EOF}, 2, func(t *testing.T, err error) {
			require.Equal(t, io.EOF, err)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rdb := redis.NewClient(&redis.Options{MaxRetries: -1})
			defer rdb.Close()
			c.o.Delay = -1
			require.NoError(t, AddTo(rdb, &c.o))
			calls := 0
			rdb.AddHook(fails{errs: c.errs, calls: &calls})
			cmd := rdb.Get(t.Context(), "k")
			c.check(t, cmd.Err())
			require.Equal(t, c.calls, calls)
		})
	}
}

type once struct{ *redis.Cmd }

func (once) NoRetry() bool { return true }

func TestNoRetryIsHeeded(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{MaxRetries: -1})
	defer rdb.Close()
	require.NoError(t, AddTo(rdb, nil))
	calls := 0
	rdb.AddHook(fails{errs: []error{io.EOF, nil}, calls: &calls})
	require.Equal(t, io.EOF, rdb.Process(t.Context(), once{redis.NewCmd(t.Context(), "x")}))
	require.Equal(t, 1, calls)
}
