package ringbench

import (
	"context"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/concordkit/concord/ring/ringtest"
)

// spreadKeys are enough to tell shares of a thousand nodes apart: each has a thousand keys, give or take 3 %.
const spreadKeys = 1_000_000

// Spread is how evenly a library places keys on nodes, and what it moves when a node joins or leaves.
type Spread struct {
	Name  string
	Ours  bool
	Nodes int
	ringtest.Balance
	// Join is of one more node, Leave of the one in the middle of the list.
	Join, Leave ringtest.Movement
}

// astray returns the part of all keys that moved between nodes that stayed, in the worse case.
func (s Spread) astray() float64 { return max(s.Join.Astray, s.Leave.Astray) }

// excess returns how many times the least possible moved.
func excess(m ringtest.Movement) float64 { return m.Moved / m.Least }

// ourLibraries and peerLibraries are the libraries that are measured, in the order of the output.
var (
	ourLibraries  = []library{concord(slots), concord(limited), concord(vnodes), concord(ketama)}
	peerLibraries = []library{goJump, goRendezvous, dskit, serialx, groupcache, groupcacheCRC}
)

// Spreads measures all libraries with 10, 100 and 1000 nodes. What it returns is the same on every machine.
func Spreads(ctx context.Context) ([]Spread, error) {
	all, err := spreadsOf(ctx, slices.Concat(ourLibraries, peerLibraries))
	for i := range ourLibraries {
		for j := range sizes {
			all[i*len(sizes)+j].Ours = true
		}
	}
	return all, err
}

// spreadsOf returns one for each library and size.
func spreadsOf(ctx context.Context, libraries []library) ([]Spread, error) {
	var all []Spread
	for _, l := range libraries {
		for _, n := range sizes {
			all = append(all, Spread{Name: l.name, Nodes: n})
		}
	}
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range all {
		place := libraries[i/len(sizes)].placement()
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return all[i].measure(place, spreadKeys)
		})
	}
	return all, g.Wait()
}

func (s *Spread) measure(place ringtest.Placement, keys int) (err error) {
	nodes := ringtest.Nodes(s.Nodes)
	if s.Balance, err = ringtest.MeasureBalance(place, nodes, keys); err != nil {
		return err
	}
	if s.Join, err = ringtest.MeasureMovement(place, nodes, ringtest.Nodes(s.Nodes+1), keys); err != nil {
		return err
	}
	middle := s.Nodes / 2
	s.Leave, err = ringtest.MeasureMovement(place, nodes, slices.Delete(slices.Clone(nodes), middle, middle+1), keys)
	return err
}
