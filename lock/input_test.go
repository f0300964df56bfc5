package lock_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/memlock"
)

func TestBadClaims(t *testing.T) {
	l := lock.New(memlock.New(), nil)
	long := strings.Repeat("n", lock.MaxName+1)
	for want, c := range map[string]lock.Claim{
		"empty name":                              {},
		"name \"nnnn":                             {Name: long},
		"directory \"nnnn":                        {Dir: long},
		"257 bytes: want at most 256":             {Name: long},
		`name "a\xff" is not UTF-8`:               {Name: "a\xff"},
		`directory "\xc3" is not UTF-8`:           {Dir: "\xc3", Name: "a"},
		`claim has the ID "mine"`:                 {Name: "a", ID: "mine"},
		"weight -1: want 1 to the capacity, 3":    {Name: "a", Weight: -1, Capacity: 3},
		"weight 4: want 1 to the capacity, 3":     {Name: "a", Weight: 4, Capacity: 3},
		"capacity -2: want 1 to 2147483647":       {Name: "a", Capacity: -2},
		"capacity 2147483648":                     {Name: "a", Capacity: lock.All + 1},
		"TTL -1s: want 100ms to 1h0m0s":           {Name: "a", TTL: -time.Second},
		"TTL 99ms: want":                          {Name: "a", TTL: 99 * time.Millisecond},
		"TTL 1h0m0.000000001s":                    {Name: "a", TTL: time.Hour + 1},
		"value of 65537 bytes: this engine takes": {Name: "a", Value: make([]byte, 64<<10+1)},
	} {
		_, err := l.Claim(t.Context(), c)
		require.ErrorIs(t, err, lock.ErrInvalid, "%+v", c)
		require.ErrorContains(t, err, want, "the error names the value and the rule")
	}
}

func TestDefaultsAreTheWholeCapacity(t *testing.T) {
	l := lock.New(memlock.New(), nil)
	lease, err := l.Claim(t.Context(), lock.Claim{Name: "a", Capacity: 3})
	require.NoError(t, err)
	c := lease.Claim()
	require.Equal(t, 3, c.Weight)
	require.Equal(t, 15*time.Second, c.TTL)
	require.Len(t, c.ID, 32, "an owner is 128 random bits")
	require.NoError(t, lease.Release())
}

// coarse is an engine that counts in whole seconds.
type coarse struct{ *memlock.Backend }

func (c coarse) Info(ctx context.Context) (lock.Info, error) {
	return lock.Info{Guarantee: lock.Process, Granularity: time.Second, MaxValue: 1}, nil
}

func TestTTLBelowTheGranularity(t *testing.T) {
	l := lock.New(coarse{memlock.New()}, nil)
	_, err := l.Claim(t.Context(), lock.Claim{Name: "a", TTL: 999 * time.Millisecond})
	require.ErrorIs(t, err, lock.ErrInvalid)
	require.ErrorContains(t, err, "TTL 999ms: this engine takes 1s or more")
}

func TestBadOptions(t *testing.T) {
	for want, l := range map[string]*lock.Locker{
		"nil Backend":         lock.New(nil, nil),
		"TTL 1ms: want":       lock.New(memlock.New(), &lock.Options{TTL: time.Millisecond}),
		"margin -1ns: want 0": lock.New(memlock.New(), &lock.Options{Margin: -1}),
		"margin 6s: want 0 to a third of the TTL, 5s": lock.New(memlock.New(), &lock.Options{Margin: 6 * time.Second}),
	} {
		_, err := l.Acquire(t.Context(), "a")
		require.ErrorIs(t, err, lock.ErrInvalid)
		require.ErrorContains(t, err, want)
		_, err = l.AcquireAll(t.Context(), "a")
		require.ErrorContains(t, err, want)
		_, err = l.Watch(t.Context(), "a")
		require.ErrorContains(t, err, want)
		require.NoError(t, l.Close(t.Context()))
	}
}

func TestBadNamesInOtherCalls(t *testing.T) {
	l := lock.New(memlock.New(), nil)
	_, err := l.Watch(t.Context(), "")
	require.ErrorIs(t, err, lock.ErrInvalid)
	_, err = l.Watch(t.Context(), "\xff")
	require.ErrorIs(t, err, lock.ErrInvalid)
	_, err = l.AcquireAll(t.Context())
	require.ErrorIs(t, err, lock.ErrInvalid)
	_, err = l.AcquireAll(t.Context(), "a", "")
	require.ErrorIs(t, err, lock.ErrInvalid, "checked before anything is held")
	lease, err := l.TryAcquire(t.Context(), "a")
	require.NoError(t, err)
	require.NoError(t, lease.Release())
}

func TestDoneContextSendsNothing(t *testing.T) {
	b := newFaulty()
	b.info = func() error { t.Error("sent something"); return nil }
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := lock.New(b, nil).Acquire(ctx, "a")
	require.ErrorIs(t, err, context.Canceled)
}

func TestGuaranteesHaveNames(t *testing.T) {
	for g, name := range map[lock.Guarantee]string{
		0: "no guarantee", lock.Process: "Process", lock.SingleNode: "SingleNode",
		lock.AsyncReplicated: "AsyncReplicated", lock.Consensus: "Consensus",
	} {
		require.Equal(t, name, g.String())
	}
}
