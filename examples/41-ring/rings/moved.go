package rings

import (
	"fmt"
	"io"

	"github.com/concordkit/concord/ring"
)

// moved takes one ring through changes of every kind. Each change brings the views before and after it, so that hash % n is
// asked about the same nodes.
func moved(out io.Writer) error {
	nodes := cluster()
	r, err := ring.New(nodes[:4], nil)
	if err != nil {
		return err
	}
	steps := []struct {
		what   string
		change func() (ring.Change, error)
	}{
		{"a fifth node joins four", func() (ring.Change, error) { return r.Add(nodes[4]) }},
		{"one of five leaves", func() (ring.Change, error) { return r.Remove("node-b") }},
		{"one of four gets weight 2", func() (ring.Change, error) {
			return r.Update("node-c", func(n *ring.Node) { n.Weight = 2 })
		}},
		// From here on it owns nothing and has time to finish what it was asked before. Its removal moves nothing then.
		{"one of four drains", func() (ring.Change, error) {
			return r.Update("node-d", func(n *ring.Node) { n.State = ring.Leaving })
		}},
		{"and is removed", func() (ring.Change, error) { return r.Remove("node-d") }},
	}
	const row = "  %-28s%8s  %10s%9s  %10s%9s\n"
	fmt.Fprintf(out, row, "", "ideal", "hash % n", "astray", "ring", "astray")
	for _, s := range steps {
		c, err := s.change()
		if err != nil {
			return err
		}
		list := measure(c, moduloOf(c.Old).owner, moduloOf(c.New).owner)
		ours := measure(c, c.Old.LookupID, c.New.LookupID)
		fmt.Fprintf(out, row, s.what, percent(ideal(c)),
			percent(list.moved), percent(list.astray), percent(ours.moved), percent(ours.astray))
	}
	return nil
}

func percent(part float64) string { return fmt.Sprintf("%.1f %%", 100*part) }
