// Package pubsubbench measures pubsub beside the clients that its engines are made of, and beside watermill and gocloud.dev.
//
// All sides run in this process. Messages have 256 bytes. Redis is a process of its own behind a Unix socket, NATS is in this
// process behind TCP, so that rows compare wall time, and their ratio is of rates: above 1 is faster than the peer.
package pubsubbench

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/concordkit/concord/internal/benchmarks/embedded"
	"github.com/concordkit/concord/internal/benchmarks/ratio"
	"github.com/concordkit/concord/internal/benchmarks/redisproc"
)

// patience is how long a slice may take that takes a tenth of a second.
const patience = 60 * time.Second

var payload = make([]byte, 256)

// atLeast is a goal for a ratio of rates.
func atLeast(limit float64) ratio.Bound { return ratio.AtLeast(limit, ratio.Times) }

// info is no goal.
var info = ratio.Bound{}

// servers are those that queues and buses are on.
type servers struct {
	redis *redisproc.Server
	nats  *embedded.NATS
}

// Measure runs all scenarios, and says to progress which.
func Measure(ctx context.Context, progress func(string)) (*ratio.Table, error) {
	rs, err := redisproc.Start(ctx)
	if err != nil {
		return nil, err
	}
	defer rs.Stop()
	version, err := rs.Version(ctx)
	if err != nil {
		return nil, err
	}
	ns, err := embedded.StartNATS()
	if err != nil {
		return nil, err
	}
	defer ns.Stop()
	s := &servers{rs, ns}
	rows, err := ratio.Run(ctx, progress, []ratio.Scenario{
		{Name: "a bus in memory", Run: memoryBus},
		{Name: "a million messages in order", Run: inversions},
		{Name: "a bus on NATS", Run: s.natsBus},
		{Name: "a queue in JetStream is consumed", Run: s.natsConsume},
		{Name: "a queue in JetStream is consumed, beside watermill", Run: s.natsMill},
		{Name: "a queue in JetStream, publish to handled", Run: s.natsThrough},
		{Name: "a queue on Redis is consumed", Run: s.redisConsume},
		{Name: "a queue on Redis is consumed, beside watermill", Run: s.redisMill},
		{Name: "a queue on Redis, publish to handled", Run: s.redisThrough},
	})
	if err != nil {
		return nil, err
	}
	return &ratio.Table{Rows: rows, Facts: []string{
		"Servers: redis-server " + version + ", Unix socket, no persistence; " + ratio.Versions("github.com/nats-io/nats-server/v2") +
			", TCP, JetStream on files.",
		"Peers: " + ratio.Versions("github.com/nats-io/nats.go", "github.com/redis/go-redis/v9", "github.com/ThreeDotsLabs/watermill",
			"github.com/ThreeDotsLabs/watermill-nats/v2", "github.com/ThreeDotsLabs/watermill-redisstream",
			"gocloud.dev", "gocloud.dev/pubsub/natspubsub") + ".",
	}}, nil
}

// arrivals counts what comes.
type arrivals struct {
	got, want atomic.Int64
	all       chan struct{}
}

func newArrivals() *arrivals { return &arrivals{all: make(chan struct{}, 1)} }

func (a *arrivals) one() {
	if a.got.Add(1) == a.want.Load() {
		a.all <- struct{}{}
	}
}

// expect sets the count that wait waits for.
func (a *arrivals) expect(n int) { a.want.Store(a.got.Load() + int64(n)) }

func (a *arrivals) wait() error {
	select {
	case <-a.all:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("%d of %d messages came", a.got.Load(), a.want.Load())
	}
}

// flow is a way from a publisher to a subscriber.
type flow struct {
	name    string
	publish func(n int) error
	came    *arrivals
	close   func()
}

// op publishes n messages and returns when all have come.
func (f *flow) op(n int) error {
	f.came.expect(n)
	if err := f.publish(n); err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	if err := f.came.wait(); err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	return nil
}

// opener makes a flow.
type opener func(context.Context) (*flow, error)

// contest compares the rates of two flows.
func contest(ctx context.Context, goal string, ours, peer opener, target ratio.Bound) (row ratio.Row, err error) {
	a, err := ours(ctx)
	if err != nil {
		return row, err
	}
	defer a.close()
	b, err := peer(ctx)
	if err != nil {
		return row, err
	}
	defer b.close()
	r, err := ratio.Compare(a.op, b.op, &ratio.Options{Pairs: 11})
	if err != nil {
		return row, fmt.Errorf("%s: %w", goal, err)
	}
	return rates(goal, b.name, r.Wall.Ours(), r.Wall.Peer(), 1/r.Wall.Ratio(), target), nil
}

// rates makes a row of two times per message.
func rates(goal, peer string, ours, theirs time.Duration, value float64, target ratio.Bound) ratio.Row {
	row := ratio.Row{Goal: goal, Ours: rate(ours), Peer: peer + " " + rate(theirs), Value: value, Target: target}
	if target == info {
		row.Note = fmt.Sprintf("%.3g×", value)
	}
	return row
}

func rate(per time.Duration) string { return fmt.Sprintf("%.0fk /s", 1e6/float64(max(per, 1))) }
