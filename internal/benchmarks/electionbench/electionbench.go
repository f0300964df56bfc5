// Package electionbench measures election beside etcd's own Election and the leader election of client-go, and how soon the
// followers of ring/members hear of a change.
//
// All sides run in this process, in the same run, against one redis-server over its Unix socket and against one etcd and
// one NATS in this process. A "candidate" is a client of its own with a Locker or a session of its own, which shares
// nothing with the others but the CPU.
package electionbench

import (
	"context"
	"fmt"
	"time"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
)

const (
	// ttl is that of every leadership, unless a row says otherwise.
	ttl = 10 * time.Second
	// patience is how long anything may take that takes milliseconds; client-go may take seconds.
	patience = 30 * time.Second
	// closeTimeout is how long leases may take to be released at the end of a scenario.
	closeTimeout = 10 * time.Second
)

// scenarios are those on one set of servers.
func scenarios(s *servers) []ratio.Scenario {
	on := func(name string, run func(context.Context, *servers) ([]ratio.Row, error)) ratio.Scenario {
		return ratio.Scenario{Name: name, Run: func(ctx context.Context) ([]ratio.Row, error) { return run(ctx, s) }}
	}
	return []ratio.Scenario{
		on("resign", resign),
		on("crash", crash),
		on("requests", requests),
		on("members", fleets),
	}
}

// Measure runs all scenarios, and says to progress which.
func Measure(ctx context.Context, progress func(string)) (*ratio.Table, error) {
	s, err := start(ctx)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	version, err := s.redis.Version(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := ratio.Run(ctx, progress, scenarios(s))
	if err != nil {
		return nil, err
	}
	peers := ratio.Versions("k8s.io/client-go", "github.com/redis/go-redis/v9", "go.etcd.io/etcd/client/v3",
		"go.etcd.io/etcd/server/v3", "github.com/nats-io/nats.go", "github.com/nats-io/nats-server/v2")
	return &ratio.Table{Rows: rows, Facts: []string{
		"Server: redis-server " + version + ", Unix socket, no persistence.",
		"Peers and clients: " + peers + ", each with its defaults but for what a row says.",
	}}, nil
}

func millis(ns float64) string { return fmt.Sprintf("%.2f ms", ns/1e6) }

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
