package containers

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/network"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

const (
	etcdPort = "2379/tcp"
	etcdSize = 3
)

// Etcd is a cluster of three members, counted from 0. Each is on two networks. By the one, members reach each other and
// nobody else; the other carries the ports of the clients, and stays when [Etcd.Isolate] takes the first away.
type Etcd struct {
	Members []*Server
	peers   *testcontainers.DockerNetwork
	cut     [etcdSize]bool
}

// StartEtcd returns when all members agree on a leader. They run until t ends. Where they cannot run, t is skipped or
// fails, as [Require] says.
func StartEtcd(t testing.TB) *Etcd {
	t.Helper()
	need(t, etcdImage)
	clients := newNetwork(t)
	// An internal network cannot be the one on which a port is published.
	e := &Etcd{peers: newNetwork(t, network.WithInternal())}
	for i := range etcdSize {
		e.Members = append(e.Members, start(t, etcdImage, etcdPort,
			network.WithNetwork(nil, clients),
			network.WithNetwork([]string{member(i)}, e.peers),
			testcontainers.WithCmd(etcdCommand(i)...)))
	}
	e.Leader(t)
	return e
}

func newNetwork(t testing.TB, opts ...network.NetworkCustomizer) *testcontainers.DockerNetwork {
	t.Helper()
	n, err := network.New(t.Context(), append(opts, network.WithLabels(map[string]string{label: ""}))...)
	testcontainers.CleanupNetwork(t, n)
	must(t, err)
	return n
}

// member returns the name of a member, which is also that of its host on the network of the members.
func member(i int) string { return fmt.Sprintf("etcd%d", i) }

func etcdCommand(i int) []string {
	var cluster []string
	for j := range etcdSize {
		cluster = append(cluster, member(j)+"="+peerURL(j))
	}
	return []string{"/usr/local/bin/etcd",
		"--name=" + member(i), "--data-dir=" + dataDir + "/etcd", "--log-level=warn",
		// Half of the default, for a quick election that a busy machine does not start by itself.
		"--heartbeat-interval=50", "--election-timeout=500",
		"--listen-client-urls=http://0.0.0.0:2379", "--advertise-client-urls=http://" + member(i) + ":2379",
		"--listen-peer-urls=http://0.0.0.0:2380", "--initial-advertise-peer-urls=" + peerURL(i),
		"--initial-cluster=" + strings.Join(cluster, ","), "--initial-cluster-state=new",
	}
}

func peerURL(i int) string { return "http://" + member(i) + ":2380" }

// Dial returns a client of the given members, or of all if none is given, that is closed when t ends.
func (e *Etcd) Dial(t testing.TB, members ...int) *clientv3.Client {
	t.Helper()
	c, err := e.dial(members)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func (e *Etcd) dial(members []int) (*clientv3.Client, error) {
	var endpoints []string
	for i, m := range e.Members {
		if len(members) == 0 || slices.Contains(members, i) {
			endpoints = append(endpoints, m.addr)
		}
	}
	return clientv3.New(clientv3.Config{Endpoints: endpoints, DialTimeout: attempt, Logger: zap.NewNop()})
}
