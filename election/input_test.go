package election_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/election"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/memlock"
)

func nothing(context.Context, election.Term) error { return nil }

func TestBadInput(t *testing.T) {
	b := newFaulty()
	b.info = func() error { t.Error("sent something"); return nil }
	locks := lock.New(b, nil)
	long := strings.Repeat("n", lock.MaxName+1)
	good := &election.Options{ID: "n"}
	for want, e := range map[string]*election.Election{
		"an Election that New has not made":          new(election.Election),
		"nil Locker":                                 election.New(nil, "e", good),
		"empty name: want 1 to 256 bytes":            election.New(locks, "", good),
		`name "nnnnnnnnnnnn`:                         election.New(locks, long, good),
		"257 bytes: want at most 256":                election.New(locks, long, good),
		`name "e\xff" is not UTF-8`:                  election.New(locks, "e\xff", good),
		`ID "nnnnnnnnnnnn`:                           election.New(locks, "e", &election.Options{ID: long}),
		`ID "n\xff" is not UTF-8`:                    election.New(locks, "e", &election.Options{ID: "n\xff"}),
		`ID "a\x00b" contains a NUL`:                 election.New(locks, "e", &election.Options{ID: "a\x00b"}),
		"TTL -1s: want 100ms to 1h0m0s":              election.New(locks, "e", &election.Options{ID: "n", TTL: -time.Second}),
		"TTL 99ms: want 100ms to 1h0m0s":             election.New(locks, "e", &election.Options{ID: "n", TTL: 99 * time.Millisecond}),
		"TTL 1h0m0.000000001s: want 100ms to 1h0m0s": election.New(locks, "e", &election.Options{ID: "n", TTL: time.Hour + 1}),
	} {
		_, err := e.Campaign(t.Context())
		require.ErrorIs(t, err, election.ErrInvalid)
		require.ErrorContains(t, err, want, "the error names the value and the rule")
		require.ErrorContains(t, e.Run(t.Context(), nothing), want)
		_, err = e.Leader(t.Context())
		require.ErrorContains(t, err, want)
		_, err = e.Watch(t.Context())
		require.ErrorContains(t, err, want)
	}
}

func TestCandidatesNeedAnID(t *testing.T) {
	for _, o := range []*election.Options{nil, {}, {Value: "addr"}} {
		e := election.New(lock.New(memlock.New(), nil), "e", o)
		_, err := e.Campaign(t.Context())
		require.ErrorIs(t, err, election.ErrInvalid)
		require.ErrorContains(t, err, "empty ID: want 1 to 256 bytes")
		require.ErrorIs(t, e.Run(t.Context(), nothing), election.ErrInvalid)
		_, err = e.Leader(t.Context())
		require.ErrorIs(t, err, election.ErrNoLeader, "who only asks needs none")
	}
}

func TestRunOfNil(t *testing.T) {
	e := election.New(lock.New(memlock.New(), nil), "e", &election.Options{ID: "n"})
	require.ErrorIs(t, e.Run(t.Context(), nil), election.ErrInvalid)
	require.ErrorContains(t, e.Run(t.Context(), nil), "Run of nil")
}

func TestValueOverTheLimit(t *testing.T) {
	locks := lock.New(memlock.New(), nil)
	e := election.New(locks, "e", &election.Options{ID: "node", Value: strings.Repeat("v", 64<<10)})
	_, err := e.Campaign(t.Context())
	require.ErrorIs(t, err, election.ErrInvalid)
	require.ErrorContains(t, err, `campaign of "node"`)
	require.ErrorContains(t, err, "value of 65544 bytes: this engine takes at most 65536")
	require.ErrorIs(t, e.Run(t.Context(), nothing), election.ErrInvalid, "a Run must not try that again")
}

// A Locker whose own options are wrong says so here too.
func TestBadLocker(t *testing.T) {
	e := election.New(lock.New(nil, nil), "e", &election.Options{ID: "n"})
	require.ErrorIs(t, e.Run(t.Context(), nothing), election.ErrInvalid)
	_, err := e.Leader(t.Context())
	require.ErrorIs(t, err, election.ErrInvalid)
}

func TestOneRunAtATime(t *testing.T) {
	e := election.New(lock.New(memlock.New(), nil), "e", &election.Options{ID: "n"})
	failure := errFake
	err := e.Run(t.Context(), func(ctx context.Context, _ election.Term) error {
		err := e.Run(ctx, nothing)
		require.ErrorIs(t, err, election.ErrInvalid)
		require.ErrorContains(t, err, `Run of "n" in "e" while another Run of this Election goes on`)
		return failure
	})
	require.ErrorIs(t, err, failure)
	require.ErrorIs(t, e.Run(t.Context(), func(context.Context, election.Term) error { return failure }), failure)
}
