package lab

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	startTimeout = 30 * time.Second // it takes well under one
	maxMemory    = 64 << 20
	maxStore     = 1 << 30
)

func startNATS(addr, dir string) (string, func(), error) {
	host, port, err := natsAddr(addr)
	if err != nil {
		return "", nil, err
	}
	s, err := server.NewServer(&server.Options{
		ServerName: "lab", Host: host, Port: port, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: filepath.Join(dir, "nats"), JetStreamMaxMemory: maxMemory, JetStreamMaxStore: maxStore,
	})
	if err != nil {
		return "", nil, err
	}
	stop := func() {
		s.Shutdown()
		s.WaitForShutdown()
	}
	s.Start()
	if !s.ReadyForConnections(startTimeout) {
		stop()
		return "", nil, fmt.Errorf("not ready within %s", startTimeout)
	}
	return s.Addr().String(), stop, nil
}

// natsAddr takes addr apart, and listens there once: nats-server would only log that it cannot.
func natsAddr(addr string) (host string, port int, err error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return "", 0, err
	}
	if err := listener.Close(); err != nil {
		return "", 0, err
	}
	host, digits, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	port, err = strconv.Atoi(digits)
	if port == 0 {
		port = server.RANDOM_PORT // 0 would be the usual one
	}
	return host, port, err
}
