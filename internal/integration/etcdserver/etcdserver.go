// Package etcdserver gives tests an etcd of their own: a cluster inside the test binary whose members crash, restart and
// lose sight of each other on demand.
//
// Each member listens on free ports behind two proxies, one for clients and one for peers, and advertises those. So no
// port is guessed, any number of clusters run side by side, and a member that restarts has its old address. Every
// simulated process of a test breaks [Cluster.Links] of its own.
//
// Members send heartbeats every 50 ms and elect a leader after 500 ms without one, half of etcd's defaults: a busy
// machine leaves shorter ones no slack. A majority that loses its leader writes again after about a second.
//
// # Limits
//
// A member is no process, so it cannot be paused, and what it wrote to its files survives [Cluster.Stop], synced or not.
//
// Peers are told apart by what they say of themselves. The leader's questions for versions and the lease renewals that
// a follower passes on to its leader say nothing: these still leave an isolated follower until it sees that it has no
// leader, an election timeout later.
package etcdserver

import (
	"errors"
	"sync"
	"testing"

	"go.etcd.io/etcd/server/v3/embed"
)

// Cluster is a running etcd. Its members have the numbers from 0. Stop, Restart, Isolate and Heal are for one goroutine
// at a time.
type Cluster struct {
	t       testing.TB
	members []*member
}

// Start runs a cluster until t ends, and returns when all its members serve. Mods change the configuration of each
// member, at every start.
func Start(t testing.TB, members int, mods ...func(*embed.Config)) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	for i := range members {
		c.members = append(c.members, newMember(t, i, mods))
	}
	for _, m := range c.members {
		m.initial = c.initial()
	}
	t.Cleanup(c.close)
	if err := start(c.members); err != nil {
		t.Fatalf("etcdserver: %v", err)
	}
	return c
}

// Fsync is a mod that makes members sync their files before they acknowledge a write, as etcd does by default.
func Fsync(cfg *embed.Config) { cfg.UnsafeNoFsync = false }

// Stop ends members at once, as crashes do: no leadership is handed over, and all connections are reset.
func (c *Cluster) Stop(members ...int) {
	stop(c.pick(members))
}

// Restart stops members that run and starts them again with their old data and addresses. It returns when they serve,
// for which a majority of the cluster must run and reach them.
func (c *Cluster) Restart(members ...int) {
	c.t.Helper()
	c.Stop(members...)
	if err := start(c.pick(members)); err != nil {
		c.t.Errorf("etcdserver: %v", err)
	}
}

func (c *Cluster) pick(numbers []int) []*member {
	picked := make([]*member, len(numbers))
	for i, n := range numbers {
		picked[i] = c.members[n]
	}
	return picked
}

// start runs members side by side, as none serves before a majority does.
func start(members []*member) error {
	errs := make([]error, len(members))
	each(members, func(i int, m *member) { errs[i] = m.start() })
	return errors.Join(errs...)
}

func stop(members []*member) {
	each(members, func(_ int, m *member) { m.stop() })
}

func each(members []*member, do func(int, *member)) {
	var wg sync.WaitGroup
	for i, m := range members {
		wg.Go(func() { do(i, m) })
	}
	wg.Wait()
}

// close heals first, so that no member waits for a peer.
func (c *Cluster) close() {
	c.Heal()
	stop(c.members)
}
