package fleet_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/breaker"
	"github.com/concordkit/concord/internal/integration/stores"
)

const (
	size = 20
	// failing is how many probes fail before the service recovers.
	failing = 3
)

// One bad node takes nobody along. A quorum takes all, one probe is sent in a period, and one that succeeds closes all.
func TestQuorum(t *testing.T) {
	stores.OnEach(t, func(t *testing.T, s stores.Store) {
		p := newParty(t, s, size, longTTL, false)
		var well, broken service
		broken.failing.Store(true)
		bad := p.ns[7]
		p.traffic(bad, &broken)
		for _, n := range p.ns {
			if n != bad {
				p.traffic(n, &well)
			}
		}
		p.work.Go(p.watchMachine)
		p.settles("a node that cannot call opens", func() bool { return bad.b.State() != breaker.Closed })
		p.settles("and votes, for all to see", func() bool {
			return p.count(func(n *node) bool { return n.m.Snapshot().Votes == 1 }) == size
		})
		time.Sleep(2 * maxOpenFor)
		require.Equal(t, size-1, p.count(isClosed), "one bad node takes nobody along")
		for _, n := range p.ns {
			if n != bad {
				require.Zero(t, n.refused.Load(), "%s must never have been open", n.name)
			}
		}
		require.Greater(t, bad.probes.Load(), int64(1), "it probes by its own rules")
		require.Zero(t, bad.m.Snapshot().Generation)
		p.callsWereFree()

		broken.failing.Store(false)
		p.settles("a node that can call again closes", p.areClosed)
	})
}

func TestOneProbeInAPeriod(t *testing.T) {
	stores.OnEach(t, func(t *testing.T, s stores.Store) {
		p := newParty(t, s, size, longTTL, false)
		begun := time.Now()
		p.vote()
		p.settles("a quorum opens all", p.areOpen)
		t.Logf("all open %v after the votes", time.Since(begun).Round(100*time.Microsecond))

		var svc service
		svc.failing.Store(true)
		p.trafficOfAll(&svc)
		p.settles("a period follows the other", func() bool {
			_, failed := p.periods()
			return failed >= failing
		})
		svc.failing.Store(false)
		p.settles("a probe that succeeds closes all", p.areClosed)
		p.quiet()

		generation, failed := p.periods()
		if p.blind.Load() > 0 { // the promise is for leases that do not end
			t.Logf("the machine was too busy for the store %d times: %d probes failed in generation %d, %d periods", p.blind.Load(),
				svc.failed.Load(), generation, failed)
			return
		}
		require.EqualValues(t, 1, generation)
		require.EqualValues(t, failed, svc.failed.Load(), "calls that failed, and periods that ended so")
		var probes int64
		for _, n := range p.ns {
			probes += n.probes.Load()
		}
		require.EqualValues(t, failed+1, probes, "one call in a period, and the one that closed the fleet")
		p.callsWereFree()
	})
}

// Whoever joins while the fleet is open is open when Join returns, also after a crash, and the fleet does not notice.
func TestLateAndAgain(t *testing.T) {
	stores.OnEach(t, func(t *testing.T, s stores.Store) {
		p := newParty(t, s, 4, ttl, true)
		require.NoError(t, p.ns[3].m.Trip(t.Context(), "by hand", time.Hour))
		p.settles("all open", p.areOpen)

		open := func(n *node) {
			t.Helper()
			require.True(t, isOpen(n), "open when Join returns")
			err := n.b.Do(t.Context(), func(context.Context) error { return nil })
			var e *breaker.OpenError
			require.True(t, errors.As(err, &e), "%v", err)
			require.InDelta(t, time.Hour, e.RetryAfter(), float64(patience))
			require.EqualValues(t, 1, n.m.Snapshot().Generation)
		}
		open(p.add("late", true))

		again := p.ns[1]
		require.NoError(t, again.m.Leave(t.Context()))
		p.join(again)
		open(again)
		p.settles("all are there", p.isWhole)

		crashed := p.ns[3] // the one that opened it
		crashed.link.Set(hole)
		p.ns = append(p.ns[:3], p.ns[4:]...)
		open(p.add(crashed.name, true)) // the same host, while its leases of before are still there
		for end := time.Now().Add(2 * ttl); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			require.True(t, p.areOpen(), "whoever crashes is succeeded, and nobody closes")
		}
		p.settles("all are there, and nobody else", p.isWhole)
		require.EqualValues(t, 1, p.ns[0].m.Snapshot().Generation)
		require.NoError(t, p.ns[2].m.Restore(t.Context()))
		p.settles("all closed", p.areClosed)

		crashed.link.Heal()
		p.ns = append(p.ns, crashed)
		p.settles("the one that was away follows", p.areClosed)
		p.settles("all are there again", p.isWhole)
	})
}
