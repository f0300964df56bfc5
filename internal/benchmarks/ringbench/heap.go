package ringbench

import (
	"context"
	"fmt"
	"runtime"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
	"github.com/concordkit/concord/ring"
)

// heap measures what a ring keeps, beside the strings of the IDs, which the caller has.
func heap(context.Context) ([]ratio.Row, error) {
	others := ""
	for _, l := range []library{groupcache, serialx} {
		n, err := heapOf(l.open)
		if err != nil {
			return nil, err
		}
		others += fmt.Sprintf(", %s %s", l.name, megabytes(n))
	}
	var rows []ratio.Row
	for _, c := range []struct {
		place  ring.Placement
		target ratio.Bound
	}{
		{slots, ratio.AtMost(1, "MB")},
		{vnodes, ratio.AtMost(3, "MB")},
		{ketama, ratio.Bound{}},
		{limited, ratio.Bound{}},
	} {
		fresh, err := heapOf(concord(c.place).open)
		if err != nil {
			return nil, err
		}
		used, err := heapOf(asked(c.place))
		if err != nil {
			return nil, err
		}
		rows = append(rows, ratio.Row{
			Goal: fmt.Sprintf("heap, %v, %d nodes", c.place, many), Ours: megabytes(used),
			Value: used / 1e6, Target: c.target, Note: megabytes(fresh) + " before the first AppendReplicas",
		})
	}
	rows[0].Peer = others[2:]
	return rows, nil
}

// asked opens rings that have been asked for replicas of all keys, of which they remember some.
func asked(p ring.Placement) func(ids []string) (finder, error) {
	return func(ids []string) (finder, error) {
		r, err := ring.New(nodesOf(ids), &ring.Options{Placement: p})
		if err != nil {
			return nil, err
		}
		return concordRing{r}, appendLoop(r, copies)(keyCount)
	}
}

// heapOf returns the bytes that what open returns keeps. It is opened twice, so that what the first one leaves in pools does
// not count.
func heapOf(open func(ids []string) (finder, error)) (float64, error) {
	ids := servers(many)
	if _, err := open(ids); err != nil {
		return 0, err
	}
	before := ratio.LiveHeap()
	f, err := open(ids)
	n := ratio.LiveHeap() - before
	runtime.KeepAlive(f)
	runtime.KeepAlive(ids)
	return float64(n), err
}

func megabytes(n float64) string { return fmt.Sprintf("%.2f MB", n/1e6) }
