package history

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// op is an operation from call to ret, in milliseconds.
type op struct {
	client    int
	call, ret time.Duration
	in, out   any
}

func record(ops ...op) *Recorder {
	r := New()
	for _, o := range ops {
		r.Add(o.client, o.in, o.out, o.call*time.Millisecond, o.ret*time.Millisecond)
	}
	return r
}

func lease(e LeaseEvent, token uint64) LeaseOp { return LeaseOp{Op: e, Name: "a", Token: token} }

func TestLease(t *testing.T) {
	require.NoError(t, record(
		op{1, 0, 5, lease(Acquired, 1), nil},
		op{1, 6, 7, lease(Held, 1), nil},
		op{2, 2, 30, lease(Acquired, 2), nil}, // waits
		op{1, 20, 25, lease(Ended, 1), nil},
		op{2, 31, 32, lease(Held, 2), nil},
		op{3, 0, 1, LeaseOp{Acquired, "b", 1}, nil}, // another name
	).Check(Lease))
}

// The controls: each history breaks one promise, and must be rejected.
func TestLeaseRejects(t *testing.T) {
	for name, r := range map[string]*Recorder{
		"nothing recorded": New(),
		"two holders": record(
			op{1, 0, 5, lease(Acquired, 1), nil},
			op{2, 10, 15, lease(Acquired, 2), nil},
			op{1, 20, 21, lease(Held, 1), nil},
			op{1, 30, 31, lease(Ended, 1), nil},
		),
		"told after the next holder": record(
			op{1, 0, 5, lease(Acquired, 1), nil},
			op{2, 10, 15, lease(Acquired, 2), nil},
			op{1, 16, 17, lease(Ended, 1), nil},
		),
		"a token repeats": record(
			op{1, 0, 5, lease(Acquired, 7), nil},
			op{1, 6, 7, lease(Ended, 7), nil},
			op{2, 10, 15, lease(Acquired, 7), nil},
		),
		"a token falls": record(
			op{1, 0, 5, lease(Acquired, 7), nil},
			op{1, 6, 7, lease(Ended, 7), nil},
			op{2, 10, 15, lease(Acquired, 6), nil},
		),
		"held after the end": record(
			op{1, 0, 5, lease(Acquired, 7), nil},
			op{1, 6, 7, lease(Ended, 7), nil},
			op{1, 8, 9, lease(Held, 7), nil},
		),
	} {
		require.Error(t, r.Check(Lease), name)
	}
}

func write(token uint64, v int) RegisterOp { return RegisterOp{Name: "r", Token: token, Value: v} }

func TestRegister(t *testing.T) {
	require.NoError(t, record(
		op{1, 0, 1, write(5, 1), RegisterResult{Accepted: true}},
		op{2, 2, 3, write(9, 2), RegisterResult{Accepted: true}},
		op{1, 4, 5, write(5, 3), RegisterResult{}},
		op{3, 6, 7, RegisterOp{Name: "r"}, RegisterResult{Value: 2}},
	).Check(Register))
}

func TestRegisterRejects(t *testing.T) {
	for name, r := range map[string]*Recorder{
		"a stale write is accepted": record(
			op{1, 0, 1, write(9, 1), RegisterResult{Accepted: true}},
			op{2, 2, 3, write(5, 2), RegisterResult{Accepted: true}},
		),
		"a good write is refused": record(
			op{1, 0, 1, write(5, 1), RegisterResult{Accepted: true}},
			op{2, 2, 3, write(9, 2), RegisterResult{}},
		),
		"a refused write is read": record(
			op{1, 0, 1, write(9, 1), RegisterResult{Accepted: true}},
			op{2, 2, 3, write(5, 2), RegisterResult{}},
			op{3, 4, 5, RegisterOp{Name: "r"}, RegisterResult{Value: 2}},
		),
	} {
		require.Error(t, r.Check(Register), name)
	}
}
