package redisserver

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concordkit/concord/internal/integration/faultproxy"
)

// Replicated is a master with a replica, watched by three Sentinels that promote the replica when the master is gone for a
// second. All reach the master by one proxy: Sentinels correct a replica that follows another address than theirs.
type Replicated struct {
	Master, Replica *Server
	proxy           *faultproxy.Proxy
	sentinels       []string
}

const (
	masterName  = "main"
	replicaName = "replica"
	downAfterMs = 1000
	settleTime  = 30 * time.Second // for servers to find each other; it takes about 3 s
)

// StartReplicated returns when all know each other.
func StartReplicated(t testing.TB) *Replicated {
	t.Helper()
	master, port := startTCP(t, "--repl-diskless-sync-delay", "0")
	proxy := faultproxy.New(t, "tcp", addr(port))
	proxy.SetIdentify(func(first []byte) string {
		if bytes.Contains(first, []byte("listening-port")) { // a replica says where it listens
			return replicaName
		}
		return ""
	})
	host, proxyPort, _ := strings.Cut(proxy.Addr(), ":")
	replica, _ := startTCP(t, "--replicaof", host+" "+proxyPort)
	r := &Replicated{Master: master, Replica: replica, proxy: proxy}
	for range 3 {
		r.sentinels = append(r.sentinels, startSentinel(t, proxyPort))
	}
	r.await(t)
	return r
}

// CutReplica makes a black hole of the link between the replica and the master, so that the replica sees no more writes.
func (r *Replicated) CutReplica(on bool) { r.proxy.CutPeer(replicaName, on) }

// Dial returns a client that asks the Sentinels for the master and is closed when t ends.
func (r *Replicated) Dial(t testing.TB, mod func(*redis.FailoverOptions)) *redis.Client {
	t.Helper()
	quiet()
	o := &redis.FailoverOptions{MasterName: masterName, SentinelAddrs: r.sentinels}
	if mod != nil {
		mod(o)
	}
	rdb := redis.NewFailoverClient(o)
	t.Cleanup(func() { rdb.Close() })
	return rdb
}

func startSentinel(t testing.TB, masterPort string) string {
	t.Helper()
	for range portTries {
		port := minPort + rand.IntN(maxPort-minPort)
		if !free(port) {
			continue
		}
		dir := tempDir(t)
		p := newProcess(dir, nil)
		conf := filepath.Join(dir, "sentinel.conf")
		text := fmt.Sprintf("port %d\nbind 127.0.0.1\nunixsocket %s\ndir %s\nprotected-mode no\n"+
			"sentinel monitor %s 127.0.0.1 %s 2\nsentinel down-after-milliseconds %s %d\nsentinel failover-timeout %s 5000\n",
			port, p.socket, dir, masterName, masterPort, masterName, downAfterMs, masterName)
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatalf("redisserver: %v", err)
		}
		p.args = []string{conf, "--sentinel"}
		if _, err := launch(t, p); err == nil {
			return addr(port)
		}
	}
	t.Fatal("redisserver: no Sentinel could be started")
	return ""
}

// await waits until the replica follows and each Sentinel knows it and the other Sentinels.
func (r *Replicated) await(t testing.TB) {
	t.Helper()
	replica := r.Replica.Dial(t, nil)
	eventually(t, "the replica must follow", func() bool {
		return strings.Contains(replica.Info(t.Context(), "replication").Val(), "master_link_status:up")
	})
	for _, s := range r.sentinels {
		c := redis.NewSentinelClient(&redis.Options{Addr: s})
		defer c.Close()
		eventually(t, "the Sentinels must know all", func() bool {
			m := c.Master(t.Context(), masterName).Val()
			return m["num-slaves"] == "1" && m["num-other-sentinels"] == "2" && m["flags"] == "master"
		})
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for start := time.Now(); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Since(start) > settleTime {
			t.Fatalf("redisserver: %s", what)
		}
	}
}
