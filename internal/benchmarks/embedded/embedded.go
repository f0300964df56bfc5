// Package embedded runs etcd and NATS servers in this process for a comparison, on free ports of the loopback interface,
// with what they do by default to keep data. Their CPU time is that of the process: compare wall time only.
package embedded

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// startTimeout is long for servers that need less than a second.
const startTimeout = 20 * time.Second

// Etcd is a cluster of one member, which syncs every write to disk.
type Etcd struct {
	dir string
	e   *embed.Etcd
}

// StartEtcd returns when the server is ready.
func StartEtcd() (*Etcd, error) {
	dir, err := os.MkdirTemp("", "ratios-etcd")
	if err != nil {
		return nil, err
	}
	cfg := embed.NewConfig()
	cfg.Dir = dir
	any := []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	cfg.ListenClientUrls, cfg.ListenPeerUrls = any, any
	cfg.EnableGRPCGateway = false
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	s := &Etcd{dir, e}
	select {
	case <-e.Server.ReadyNotify():
		return s, nil
	case <-time.After(startTimeout):
		s.Stop()
		return nil, fmt.Errorf("etcd was not ready within %v", startTimeout)
	}
}

// Client returns a client of its own, which the caller closes. The options are added to its dial options.
func (s *Etcd) Client(mod func(*clientv3.Config)) (*clientv3.Client, error) {
	c := clientv3.Config{Endpoints: []string{s.e.Clients[0].Addr().String()}, Logger: zap.NewNop()}
	if mod != nil {
		mod(&c)
	}
	return clientv3.New(c)
}

// Stop ends the server and removes its data.
func (s *Etcd) Stop() {
	s.e.Server.HardStop()
	s.e.Close()
	os.RemoveAll(s.dir)
}

// NATS is a server with JetStream, which syncs its files every two minutes.
type NATS struct {
	dir string
	s   *server.Server
}

// StartNATS returns when the server takes connections.
func StartNATS() (*NATS, error) {
	dir, err := os.MkdirTemp("", "ratios-nats")
	if err != nil {
		return nil, err
	}
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true,
	})
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	s.Start()
	n := &NATS{dir, s}
	if !s.ReadyForConnections(startTimeout) {
		n.Stop()
		return nil, errors.New("NATS was not ready in time")
	}
	return n, nil
}

// Client returns a connection of its own, which the caller closes.
func (n *NATS) Client() (*nats.Conn, error) { return nats.Connect(n.s.ClientURL()) }

// Stop ends the server and removes its data.
func (n *NATS) Stop() {
	n.s.Shutdown()
	n.s.WaitForShutdown()
	os.RemoveAll(n.dir)
}
