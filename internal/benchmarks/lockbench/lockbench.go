// Package lockbench measures lock on Redis beside the lock libraries that Go programs use on it, and on etcd beside etcd's
// own Mutex.
//
// All sides run in this process, in the same run, against one redis-server over its Unix socket or against a server in
// this process. A "process" of a
// scenario is a client of its own with a lock of its own, which shares nothing with the others but the CPU.
package lockbench

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
	"github.com/concordkit/concord/internal/benchmarks/redisproc"
)

// ttl is that of every lock, unless a row says otherwise.
const ttl = 10 * time.Second

// scenario measures some of the rows.
type scenario struct {
	name string
	run  func(context.Context, *redisproc.Server) ([]ratio.Row, error)
}

// The order has a reason: what counts requests or goroutines runs before the peers whose clients leave some behind.
var scenarios = []scenario{
	{"goroutines and memory of held leases", held},
	{"requests per operation", requests},
	{"requests of waiters", waiting},
	{"free cycle", free},
	{"crash", crash},
	{"hand-off", handOff},
	{"fairness", fairness},
}

// engines measure the other engines, each on a server in this process.
var engines = []struct {
	name string
	run  func(context.Context) ([]ratio.Row, error)
}{
	{"etcd", onEtcd},
	{"NATS", onNATS},
}

// Measure runs all scenarios, and says to progress which.
func Measure(ctx context.Context, progress func(string)) (*ratio.Table, error) {
	server, err := redisproc.Start(ctx)
	if err != nil {
		return nil, err
	}
	defer server.Stop()
	version, err := server.Version(ctx)
	if err != nil {
		return nil, err
	}
	table := &ratio.Table{Facts: []string{"Server: redis-server " + version + ", Unix socket, no persistence.", peers()}}
	for _, s := range scenarios {
		progress(s.name)
		rows, err := s.run(ctx, server)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		table.Rows = append(table.Rows, rows...)
	}
	for _, s := range engines {
		progress(s.name)
		rows, err := s.run(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		table.Rows = append(table.Rows, rows...)
	}
	return table, nil
}

// peers names the versions that were built in.
func peers() string {
	text := "Peers:"
	info, _ := debug.ReadBuildInfo()
	for _, m := range info.Deps {
		switch m.Path {
		case "github.com/bsm/redislock", "github.com/go-redsync/redsync/v4", "github.com/redis/rueidis", "github.com/redis/go-redis/v9",
			"go.etcd.io/etcd/client/v3", "go.etcd.io/etcd/server/v3", "github.com/nats-io/nats.go", "github.com/nats-io/nats-server/v2":
			text += " " + m.Path + " " + m.Version + ","
		}
	}
	return text + " each with its defaults but for what a row says."
}
