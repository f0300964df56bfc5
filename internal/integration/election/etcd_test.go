package election_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/concordkit/concord/election"
	"github.com/concordkit/concord/election/electiontest"
	"github.com/concordkit/concord/internal/integration/stores"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/etcdlock"
)

func session(t *testing.T, cli *clientv3.Client) *concurrency.Session {
	t.Helper()
	s, err := concurrency.NewSession(cli, concurrency.WithTTL(int(ttl.Seconds())))
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// A process with etcd's own Election and ours exclude each other, wait for each other in one line, and see each other lead.
func TestEtcdElectionAndOurs(t *testing.T) {
	t.Parallel()
	s := stores.NewEtcd(t, 1)
	cli := s.Dial(t)
	stock := concurrency.NewElection(session(t, cli), "concord/dir/scheduler")
	stockSees := func(value string) {
		t.Helper()
		r, err := stock.Leader(t.Context())
		require.NoError(t, err)
		require.Equal(t, value, string(r.Kvs[0].Value), "a stock client must see our leader")
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	observed := stock.Observe(ctx)
	waits := func(won <-chan error) {
		t.Helper()
		select {
		case <-won:
			require.Fail(t, "a stock candidate must wait for our leader")
		case <-time.After(ttl / 4):
		}
	}
	campaign := func(value string) <-chan error {
		won := make(chan error, 1)
		go func() { won <- stock.Campaign(t.Context(), value) }()
		return won
	}

	// Without a value of its own ours shows its ID and nothing else.
	locks := lock.New(etcdlock.New(s.Dial(t), nil), &lock.Options{TTL: ttl})
	bare := election.New(locks, "scheduler", &election.Options{ID: "node-1"})
	l, err := bare.Campaign(t.Context())
	require.NoError(t, err)
	stockSees("node-1")
	require.Equal(t, "node-1", string(within(t, ttl, observed, "a stock client must observe our leader").Kvs[0].Value))
	require.NoError(t, l.SetValue(t.Context(), "addr-2"))
	stockSees("addr-2\x00id=node-1")
	won := campaign("stock")
	waits(won)
	require.NoError(t, l.Resign())
	require.NoError(t, within(t, ttl/4, won, "our resignation must let a stock candidate in"))

	leader, err := bare.Leader(t.Context())
	require.NoError(t, err)
	require.Equal(t, election.Leader{ID: "stock", Value: "stock", Term: election.Term(stock.Rev())}, leader)
	w, err := bare.Watch(t.Context())
	require.NoError(t, err)
	require.Equal(t, leader, w.Leader())
	require.NoError(t, stock.Proclaim(t.Context(), "stock-2"))
	for leader, err := range w.All(t.Context()) {
		require.NoError(t, err)
		if leader.ID == "stock-2" {
			break
		}
	}

	n := direct(t, s, "scheduler", "node-3")
	var shifts electiontest.Shifts
	begun, resign := n.work(&shifts)
	within(t, ttl, n.queued, "ours must wait for a stock leader")
	require.Empty(t, begun)
	require.NoError(t, stock.Resign(t.Context()))
	first := within(t, ttl/4, begun, "a stock resignation must let ours in")
	require.Greater(t, first.term, leader.Term)
	stockSees("addr-node-3\x00id=node-3")
	won = campaign("stock")
	waits(won)
	resign()
	require.NoError(t, within(t, ttl/4, won, "our resignation must let a stock candidate in"))

	// A stock session that is lost takes its leadership along.
	begun, _ = n.work(&shifts)
	within(t, ttl, n.queued, "ours must wait for a stock leader")
	r, err := stock.Leader(t.Context())
	require.NoError(t, err)
	_, err = cli.Revoke(t.Context(), clientv3.LeaseID(r.Kvs[0].Lease))
	require.NoError(t, err)
	require.Greater(t, within(t, ttl/4, begun, "a stock session that is lost must let ours in").term, first.term)
	require.NoError(t, locks.Close(t.Context()))
}

// A candidate whose session is revoked while it waits gets an error, now and not when its turn would have come. With
// etcd's own Election it waits on, and then leads without a key: etcd-io/etcd#19597.
func TestEtcdSessionsRevokedWhileOthersWait(t *testing.T) { // T10
	t.Parallel()
	s := stores.NewEtcd(t, 1)
	admin := s.Dial(t)
	name := random()
	known := map[clientv3.LeaseID]bool{}
	newest := func() (id clientv3.LeaseID) {
		t.Helper()
		all, err := admin.Leases(t.Context())
		require.NoError(t, err)
		for _, l := range all.Leases {
			if !known[l.ID] {
				id = l.ID
			}
			known[l.ID] = true
		}
		require.NotZero(t, id)
		return id
	}
	leading, err := direct(t, s, name, "leads").Campaign(t.Context())
	require.NoError(t, err)
	leads := newest()
	first, second := direct(t, s, name, "first"), direct(t, s, name, "second")
	failed := make(chan error, 1)
	go func() {
		_, err := first.Campaign(t.Context())
		failed <- err
	}()
	within(t, ttl, first.queued, "a candidate must wait while another one leads")
	waits := newest()
	var shifts electiontest.Shifts
	begun, resign := second.work(&shifts)
	within(t, ttl, second.queued, "a candidate must wait while another one leads")
	seconds := newest()

	_, err = admin.Revoke(t.Context(), waits)
	require.NoError(t, err)
	require.ErrorIs(t, within(t, ttl/4, failed, "a campaign whose session was revoked must end"), election.ErrLost)
	require.NoError(t, leading.Context().Err(), "nobody else must be hurt")
	_, err = admin.Revoke(t.Context(), seconds)
	require.NoError(t, err)
	within(t, ttl, second.queued, "a run must stand for election again")
	require.Empty(t, begun)

	_, err = admin.Revoke(t.Context(), leads)
	require.NoError(t, err)
	within(t, ttl/4, begun, "the next one must lead when the leader's session was revoked")
	within(t, ttl/3+slack, leading.Context().Done(), "the next renewal must tell the leader")
	require.ErrorIs(t, context.Cause(leading.Context()), election.ErrLost)
	require.ErrorIs(t, leading.Resign(), election.ErrLost)
	resign()
	l, err := first.Campaign(t.Context()) // on a new session
	require.NoError(t, err)
	require.NoError(t, l.Resign())
}
