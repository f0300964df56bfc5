package fleet_test

import (
	"bytes"
	"context"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/breaker"
	"github.com/concordkit/concord/breaker/fleet"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/memlock"
)

func TestInput(t *testing.T) {
	locks := lock.New(memlock.New(), nil)
	t.Cleanup(func() { locks.Close(context.Background()) })
	named := func(name string) *breaker.Breaker {
		b, err := breaker.New(name, nil)
		require.NoError(t, err)
		return b
	}
	b := named("billing")
	for want, join := range map[string]func() (*fleet.Member, error){
		"Join with nil: want a context, a Locker and a Breaker": func() (*fleet.Member, error) {
			return fleet.Join(t.Context(), nil, b, nil)
		},
		"nil: want a context, a Locker and a Breaker": func() (*fleet.Member, error) {
			return fleet.Join(t.Context(), locks, nil, nil)
		},
		`the name of the breaker "": want 1 to 248 bytes of UTF-8`: func() (*fleet.Member, error) {
			return fleet.Join(t.Context(), locks, named(""), nil)
		},
		`breaker "\xff": want`: func() (*fleet.Member, error) { return fleet.Join(t.Context(), locks, named("\xff"), nil) },
		`xxx": want 1 to 248`: func() (*fleet.Member, error) {
			return fleet.Join(t.Context(), locks, named(strings.Repeat("x", 249)), nil)
		},
		"Quorum -1: want 1 to 1000000": func() (*fleet.Member, error) {
			return fleet.Join(t.Context(), locks, b, &fleet.Options{Quorum: -1})
		},
		"Share NaN: want 0 to 1": func() (*fleet.Member, error) {
			return fleet.Join(t.Context(), locks, b, &fleet.Options{Share: math.NaN()})
		},
		"Share +Inf": func() (*fleet.Member, error) {
			return fleet.Join(t.Context(), locks, b, &fleet.Options{Share: math.Inf(1)})
		},
		"Share -0.1": func() (*fleet.Member, error) { return fleet.Join(t.Context(), locks, b, &fleet.Options{Share: -0.1}) },
		"VoteTTL 99ms: want 100ms to 24h0m0s": func() (*fleet.Member, error) {
			return fleet.Join(t.Context(), locks, b, &fleet.Options{VoteTTL: 99 * time.Millisecond})
		},
		"VoteTTL -1ns": func() (*fleet.Member, error) {
			return fleet.Join(t.Context(), locks, b, &fleet.Options{VoteTTL: -1})
		},
		`Node "\xff": want at most 256 bytes of UTF-8`: func() (*fleet.Member, error) {
			return fleet.Join(t.Context(), locks, b, &fleet.Options{Node: "\xff"})
		},
	} {
		m, err := join()
		require.ErrorIs(t, err, fleet.ErrInvalid)
		require.ErrorContains(t, err, want)
		require.Nil(t, m)
	}
}

// What somebody else has put into the directory is left out, told once, and does no harm.
func TestStrangers(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		var mu sync.Mutex
		var refused []string
		o := fleet.Options{Trace: fleet.JoinTraces(nil, &fleet.Trace{Refused: func(_ string, err error) {
			mu.Lock()
			defer mu.Unlock()
			refused = append(refused, err.Error())
		}})}
		stranger := newNode(t, backend, "stranger")
		put := func(name, value string) *lock.Lease {
			lease, err := stranger.locks.Claim(t.Context(), lock.Claim{Dir: "breaker/billing", Name: name, Value: []byte(value)})
			require.NoError(t, err)
			return lease
		}
		put("something", "{}")
		put("member/x", "no JSON")
		put("member/y", `{"closed":9007199254740993}`)
		put("member/z", `{"vote":{"generation":18446744073709551615}}`)
		probe := put("probe", `{"generation":-1}`)
		opened := put("open", `{"generation":1e400}`)
		ns := newFleet(t, backend, 2, fleet.Options{})
		ns = append(ns, newNode(t, backend, "traced").join(o))
		settle()
		require.Equal(t, 3, ns[0].m.Snapshot().Nodes)
		require.Len(t, refused, 6)
		require.Contains(t, strings.Join(refused, "\n"), `"something" is no lease of a fleet`)
		require.Contains(t, strings.Join(refused, "\n"), `want at most 9007199254740992`)
		ns[0].trip()
		ns[1].trip()
		settle()
		require.Len(t, open(ns), 2, `somebody else has "open"`)
		require.NoError(t, opened.Release())
		require.NoError(t, probe.Release())
		time.Sleep(500 * time.Millisecond)
		require.Len(t, open(ns), 3)

		odd := put("open2", "") // another stranger, told once too
		settle()
		require.NoError(t, odd.Release())
		require.Len(t, refused, 7)
	})
}

// An open time that nobody could have meant is kept within a breaker's.
func TestOddOpenTimes(t *testing.T) {
	for left, want := range map[string]time.Duration{
		"-5": time.Millisecond, "0": time.Millisecond, "9223372036854775807": 24 * time.Hour, "1500": 1500 * time.Millisecond,
	} {
		bubble(t, func(t *testing.T, backend lock.Backend) {
			stranger := newNode(t, backend, "stranger")
			_, err := stranger.locks.Claim(t.Context(), lock.Claim{
				Dir: "breaker/billing", Name: "open", Value: []byte(`{"generation":7,"left_ms":` + left + `}`),
			})
			require.NoError(t, err)
			n := newNode(t, backend, "n").join(fleet.Options{})
			require.Equal(t, breaker.Open, n.b.State())
			require.EqualValues(t, 7, n.m.Snapshot().Generation)
			require.InDelta(t, want, n.m.Snapshot().OpenFor, float64(2*time.Millisecond))
		})
	}
}

func TestLogTrace(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "by" {
				return slog.Attr{}
			}
			return a
		}}))
		n := newNode(t, backend, "n")
		m, err := fleet.Join(t.Context(), n.locks, n.b, &fleet.Options{Trace: fleet.LogTrace(log), Node: "a"})
		require.NoError(t, err)
		require.NoError(t, m.Trip(t.Context(), "deploy", time.Second))
		require.NoError(t, m.Restore(t.Context()))
		require.NoError(t, m.Leave(t.Context()))
		require.Equal(t, `level=WARN msg="fleet open" component=fleet fleet=billing generation=1 period=0 reason=deploy for=1s
level=INFO msg="fleet closed" component=fleet fleet=billing generation=1 blind=false
`, out.String())
	})
}

func TestLockerIsClosed(t *testing.T) {
	bubble(t, func(t *testing.T, backend lock.Backend) {
		ns := newFleet(t, backend, 2, fleet.Options{})
		require.NoError(t, ns[0].m.Trip(t.Context(), "x", time.Second))
		settle()
		ns[0].locks.Close(t.Context())
		time.Sleep(2 * ttl)
		require.True(t, ns[0].m.Snapshot().Blind)
		require.True(t, ns[0].call(nil), "by its own rules")
	})
}
