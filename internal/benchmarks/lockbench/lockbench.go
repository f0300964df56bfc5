// Package lockbench measures lock on Redis beside the lock libraries that Go programs use on it, and on etcd beside etcd's
// own Mutex.
//
// All sides run in this process, in the same run, against one redis-server over its Unix socket or against a server in
// this process. A "process" of a
// scenario is a client of its own with a lock of its own, which shares nothing with the others but the CPU.
package lockbench

import (
	"context"
	"time"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
	"github.com/concordkit/concord/internal/benchmarks/redisproc"
)

// ttl is that of every lock, unless a row says otherwise.
const ttl = 10 * time.Second

// scenarios are those on one server. The order has a reason: what counts requests or goroutines runs before the peers whose
// clients leave some behind.
func scenarios(server *redisproc.Server) []ratio.Scenario {
	on := func(name string, run func(context.Context, *redisproc.Server) ([]ratio.Row, error)) ratio.Scenario {
		return ratio.Scenario{Name: name, Run: func(ctx context.Context) ([]ratio.Row, error) { return run(ctx, server) }}
	}
	return []ratio.Scenario{
		on("goroutines and memory of held leases", held),
		on("requests per operation", requests),
		on("requests of waiters", waiting),
		on("free cycle", free),
		on("crash", crash),
		on("hand-off", handOff),
		on("fairness", fairness),
		// The other engines have servers in this process.
		{Name: "etcd", Run: onEtcd},
		{Name: "NATS", Run: onNATS},
	}
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
	rows, err := ratio.Run(ctx, progress, scenarios(server))
	if err != nil {
		return nil, err
	}
	peers := ratio.Versions("github.com/bsm/redislock", "github.com/go-redsync/redsync/v4", "github.com/redis/rueidis",
		"github.com/redis/go-redis/v9", "go.etcd.io/etcd/client/v3", "go.etcd.io/etcd/server/v3", "github.com/nats-io/nats.go",
		"github.com/nats-io/nats-server/v2")
	return &ratio.Table{Rows: rows, Facts: []string{
		"Server: redis-server " + version + ", Unix socket, no persistence.",
		"Peers: " + peers + ", each with its defaults but for what a row says.",
	}}, nil
}
