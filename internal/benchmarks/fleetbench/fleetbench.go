// Package fleetbench measures breaker/fleet: what a call costs beside a breaker that belongs to no fleet and beside gobreaker's
// distributed breaker, how soon the last member is open after the vote that decides, and how many calls probe.
//
// All run in this process, in the same run, against one redis-server over its Unix socket and against one etcd and one NATS
// in this process. A "node" is a client, a Locker, a breaker and a member of its own.
package fleetbench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
)

const (
	// ttl is so long that nothing is renewed while calls are counted.
	ttl = time.Minute
	// patience is how long anything may take that takes milliseconds.
	patience = 30 * time.Second
)

var errDown = errors.New("down")

func scenarios(s *servers) []ratio.Scenario {
	on := func(name string, run func(context.Context, *servers) ([]ratio.Row, error)) ratio.Scenario {
		return ratio.Scenario{Name: name, Run: func(ctx context.Context) ([]ratio.Row, error) { return run(ctx, s) }}
	}
	return []ratio.Scenario{
		on("a fleet's closed calls", closed),
		on("a fleet's requests", requests),
		on("a fleet opens", opens),
		on("a fleet probes", probes),
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
	return &ratio.Table{Rows: rows, Facts: []string{
		"Fleets: redis-server " + version + ", Unix socket, no persistence; " + ratio.Versions("github.com/redis/go-redis/v9",
			"go.etcd.io/etcd/server/v3", "github.com/nats-io/nats-server/v2") + ".",
	}}, nil
}

func nanos(d time.Duration) string { return fmt.Sprintf("%d ns", d.Nanoseconds()) }

func millis(ns float64) string { return fmt.Sprintf("%.2f ms", ns/1e6) }
