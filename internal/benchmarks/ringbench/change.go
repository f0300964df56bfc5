package ringbench

import (
	"context"
	"fmt"
	"time"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
	"github.com/concordkit/concord/ring"
)

// newcomer is a node that is not among servers.
const newcomer = "10.1.0.1:6379"

// change compares what it costs when a node joins or leaves.
func change(ctx context.Context) ([]ratio.Row, error) {
	rows, err := changeAbsolute(ctx)
	if err != nil {
		return nil, err
	}
	for _, peer := range []struct {
		name string
		op   ratio.Op
	}{
		{"groupcache, built anew", groupcacheChange(many)},
		{"serialx", serialxChange(many)},
	} {
		ours, err := ringChange(slots, many)
		if err != nil {
			return nil, err
		}
		r, err := ratio.Compare(ours, peer.op, &ratio.Options{Pairs: 5})
		if err != nil {
			return nil, err
		}
		rows = append(rows, ratio.Row{
			Goal:   changeGoal(slots),
			Ours:   millis(half(r.CPU.Ours())),
			Peer:   peer.name + " " + millis(half(r.CPU.Peer())),
			Value:  r.CPU.Ratio(),
			Target: ratio.AtMost(0.05, ratio.Times),
		})
	}
	return rows, nil
}

func changeAbsolute(ctx context.Context) ([]ratio.Row, error) {
	var rows []ratio.Row
	for _, c := range []struct {
		place  ring.Placement
		target ratio.Bound
	}{
		{slots, ratio.AtMost(1, "ms")},
		{vnodes, ratio.AtMost(4, "ms")},
		{ketama, ratio.Bound{}},
		{limited, ratio.Bound{}},
	} {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		op, err := ringChange(c.place, many)
		if err != nil {
			return nil, err
		}
		pair, err := alone(op)
		if err != nil {
			return nil, err
		}
		d := half(pair)
		rows = append(rows, ratio.Row{Goal: changeGoal(c.place), Ours: millis(d), Value: float64(d) / 1e6, Target: c.target})
	}
	return rows, nil
}

func changeGoal(p ring.Placement) string {
	return fmt.Sprintf("CPU of one change, %v, %d nodes", p, many)
}

// half makes one change of a pair.
func half(pair time.Duration) time.Duration { return pair / 2 }

// ringChange returns a pair of changes, a join and a leave, as the others do.
func ringChange(p ring.Placement, n int) (ratio.Op, error) {
	r, err := ring.New(nodesOf(servers(n)), &ring.Options{Placement: p})
	return ratio.Each(func() error {
		if _, err := r.Add(ring.Node{ID: newcomer}); err != nil {
			return err
		}
		_, err := r.Remove(newcomer)
		return err
	}), err
}

// groupcacheChange builds a new map each time: groupcache can lose no node, and can gain one only while nobody looks up.
func groupcacheChange(n int) ratio.Op {
	with := append(servers(n), newcomer)
	return ratio.Each(func() error {
		newGroupcache(with, sum32)
		newGroupcache(with[:n], sum32)
		return nil
	})
}

func serialxChange(n int) ratio.Op {
	r := newSerialx(servers(n), sum64)
	return ratio.Each(func() error {
		r.AddWeightedNode(newcomer, points).RemoveNode(newcomer)
		return nil
	})
}
