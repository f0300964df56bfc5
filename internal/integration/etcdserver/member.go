package etcdserver

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.uber.org/zap"

	"github.com/concordkit/concord/internal/integration/faultproxy"
)

const (
	heartbeatMs  = 50
	electionMs   = 500
	startTimeout = 60 * time.Second // it takes about 0.3 s
)

// member is one etcd, which may be started again after its end.
type member struct {
	name, dir    string
	id           string // the same at every start
	initial      string // all members and their peer addresses
	mods         []func(*embed.Config)
	client, peer *faultproxy.Proxy
	etcd         atomic.Pointer[embed.Etcd] // nil while it does not run
	isolated     atomic.Bool
}

func newMember(t testing.TB, number int, mods []func(*embed.Config)) *member {
	t.Helper()
	m := &member{
		name: fmt.Sprintf("m%d", number), dir: t.TempDir(), mods: mods,
		client: faultproxy.New(t, "tcp", ""), peer: faultproxy.New(t, "tcp", ""),
	}
	m.peer.SetIdentify(identify)
	return m
}

func (c *Cluster) initial() string {
	var all []string
	for _, m := range c.members {
		all = append(all, m.name+"=http://"+m.peer.Addr())
	}
	return strings.Join(all, ",")
}

func (m *member) config() *embed.Config {
	cfg := embed.NewConfig()
	cfg.Name, cfg.Dir, cfg.InitialCluster = m.name, m.dir, m.initial
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = urls("127.0.0.1:0"), urls(m.client.Addr())
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = urls("127.0.0.1:0"), urls(m.peer.Addr())
	cfg.TickMs, cfg.ElectionMs = heartbeatMs, electionMs
	cfg.UnsafeNoFsync = true
	cfg.EnableGRPCGateway = false
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	for _, mod := range m.mods {
		mod(cfg)
	}
	return cfg
}

func urls(addr string) []url.URL { return []url.URL{{Scheme: "http", Host: addr}} }

// start returns when the member serves. Peers reach it before that, as it does not serve without them.
func (m *member) start() error {
	e, err := embed.StartEtcd(m.config())
	if err != nil {
		return fmt.Errorf("start %s: %w", m.name, err)
	}
	m.id = e.Server.MemberID().String()
	m.etcd.Store(e)
	m.client.SetTarget("tcp", e.Clients[0].Addr().String())
	m.peer.SetTarget("tcp", e.Peers[0].Addr().String())
	select {
	case <-e.Server.ReadyNotify():
		return nil
	case err := <-e.Err():
		return fmt.Errorf("%s ended at once: %w", m.name, err)
	case <-e.Server.StopNotify():
		return errors.New(m.name + " ended at once")
	case <-time.After(startTimeout):
		return fmt.Errorf("%s did not serve within %s", m.name, startTimeout)
	}
}

// stop takes the connections away first: a crash does not end them politely, and Close would wait for them.
func (m *member) stop() {
	e := m.etcd.Swap(nil)
	if e == nil {
		return
	}
	for _, p := range []*faultproxy.Proxy{m.client, m.peer} {
		p.SetTarget("tcp", "")
		p.ResetAll()
	}
	e.Server.HardStop()
	e.Close()
}

// reachable returns the server if it runs and its peers can reach it.
func (m *member) reachable() *etcdserver.EtcdServer {
	e := m.etcd.Load()
	if e == nil || m.isolated.Load() {
		return nil
	}
	return e.Server
}
