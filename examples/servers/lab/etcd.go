package lab

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

const (
	heartbeatMs = 50
	electionMs  = 500
	stopTimeout = time.Second // it takes some milliseconds
)

func startEtcd(addr, dir string) (string, func(), error) {
	e, err := embed.StartEtcd(etcdConfig(addr, filepath.Join(dir, "etcd")))
	if err != nil {
		return "", nil, err
	}
	stop := func() { stopEtcd(e) }
	select {
	case <-e.Server.ReadyNotify():
		return e.Clients[0].Addr().String(), stop, nil
	case err = <-e.Err():
	case <-e.Server.StopNotify():
		err = errors.New("it ended at once")
	case <-time.After(startTimeout):
		err = fmt.Errorf("not ready within %s", startTimeout)
	}
	stop()
	return "", nil, err
}

// stopEtcd is hard, as Close waits for clients, and bounded, as it also waits for connections on which nothing was said.
func stopEtcd(e *embed.Etcd) {
	e.Server.HardStop()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		e.Close()
	}()
	select {
	case <-closed:
	case <-time.After(stopTimeout):
	}
}

func etcdConfig(addr, dir string) *embed.Config {
	clients, peers := urls(addr), urls("127.0.0.1:0") // there are no peers
	cfg := embed.NewConfig()
	cfg.Name, cfg.Dir = "lab", dir
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = clients, clients
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = peers, peers
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.TickMs, cfg.ElectionMs = heartbeatMs, electionMs
	cfg.UnsafeNoFsync = true
	cfg.EnableGRPCGateway = false
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	return cfg
}

func urls(addr string) []url.URL { return []url.URL{{Scheme: "http", Host: addr}} }
