package lockbench

import (
	"context"
	"fmt"
	"time"

	bsm "github.com/bsm/redislock"
	"github.com/redis/go-redis/v9"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
	"github.com/concordkit/concord/internal/benchmarks/redisproc"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/redislock"
)

// free compares a cycle of acquire and release that nobody else wants. What ours costs depends on whether the client
// minds deadlines, since the calls of one that does not must be waited for by another goroutine.
func free(ctx context.Context, s *redisproc.Server) ([]ratio.Row, error) {
	cancellable, cancel := context.WithCancel(ctx)
	defer cancel()
	var rows []ratio.Row
	for _, c := range []struct {
		ctx       context.Context
		minds     bool
		what, why string
	}{
		{cancellable, false, "client with its defaults, cancellable context", "; ours returns when a context ends, so both calls need a goroutine"},
		{cancellable, true, "ContextTimeoutEnabled, cancellable context", "; ours returns when the context ends, so the acquire needs a goroutine"},
		{context.Background(), true, "ContextTimeoutEnabled, context.Background", ""},
	} {
		row, err := freeOn(c.ctx, s, c.minds)
		if err != nil {
			return nil, err
		}
		row.Goal = "free cycle, CPU of the client; " + c.what
		row.Note += c.why
		rows = append(rows, row)
	}
	return rows, nil
}

// freeOn gives both sides the same client and the same context.
func freeOn(ctx context.Context, s *redisproc.Server, minds bool) (ratio.Row, error) {
	rdb := redis.NewClient(&redis.Options{Network: "unix", Addr: s.Socket(), ContextTimeoutEnabled: minds})
	defer rdb.Close()
	locks := lock.New(redislock.New(rdb, nil), &lock.Options{TTL: ttl})
	defer locks.Close(ctx)
	peer := bsm.New(rdb)
	ours := ratio.Each(func() error {
		lease, err := locks.Acquire(ctx, "free")
		if err != nil {
			return err
		}
		return lease.Release()
	})
	theirs := ratio.Each(func() error {
		l, err := peer.Obtain(ctx, "free", ttl, nil)
		if err != nil {
			return err
		}
		return l.Release(ctx)
	})
	r, err := ratio.Compare(ours, theirs, &ratio.Options{Extra: s.CPU})
	if err != nil {
		return ratio.Row{}, err
	}
	both := r.CPU.Plus(r.Extra)
	return ratio.Row{
		Ours:   micros(r.CPU.Ours()),
		Peer:   "bsm/redislock " + micros(r.CPU.Peer()),
		Value:  r.CPU.Ratio(),
		Target: ratio.AtMost(1.6, ratio.Times),
		Note: fmt.Sprintf("wall %s to %s, %.2f×; CPU with the server's %s to %s, %.2f×", micros(r.Wall.Ours()), micros(r.Wall.Peer()),
			r.Wall.Ratio(), micros(both.Ours()), micros(both.Peer()), both.Ratio()),
	}, nil
}

func micros(d time.Duration) string { return fmt.Sprintf("%.1f µs", float64(d)/1e3) }

func millis(ns float64) string { return fmt.Sprintf("%.2f ms", ns/1e6) }
