package members

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/ring"
)

// value is what a member's lease shows. The ID is the lease's name. What has no state is not a member's.
type value struct {
	Addr   string            `json:"addr,omitempty"`
	Zone   string            `json:"zone,omitempty"`
	Weight float64           `json:"weight,omitempty"`
	State  *ring.State       `json:"state"`
	Meta   map[string]string `json:"meta,omitempty"`
}

func encode(n ring.Node) ([]byte, error) {
	if err := check(n); err != nil {
		return nil, err
	}
	b, err := json.Marshal(value{n.Addr, n.Zone, n.Weight, &n.State, n.Meta})
	if err != nil {
		return nil, fmt.Errorf("members: %w: node %.40q: %w", ErrInvalid, n.ID, err)
	}
	return b, nil
}

func decode(h lock.Holder) (ring.Node, error) {
	var v value
	if err := json.Unmarshal(h.Value, &v); err != nil {
		return ring.Node{}, fmt.Errorf("members: %q has the value %.40q: %w", h.Name, h.Value, err)
	}
	if v.State == nil {
		return ring.Node{}, fmt.Errorf("members: %q has the value %.40q: want a state", h.Name, h.Value)
	}
	n := ring.Node{ID: h.Name, Addr: v.Addr, Zone: v.Zone, Weight: v.Weight, State: *v.State, Meta: v.Meta}
	return n, check(n)
}

// check reports what is wrong with a node. JSON would replace what is not UTF-8 without a word.
func check(n ring.Node) error {
	if err := n.Check(); err != nil {
		return fmt.Errorf("members: %w: %w", ErrInvalid, err)
	}
	if !utf8.ValidString(n.Addr) {
		return fmt.Errorf("members: %w: address %.40q of node %.40q is not UTF-8", ErrInvalid, n.Addr, n.ID)
	}
	for k, v := range n.Meta {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return fmt.Errorf("members: %w: Meta %.40q: %.40q of node %.40q is not UTF-8", ErrInvalid, k, v, n.ID)
		}
	}
	return nil
}
