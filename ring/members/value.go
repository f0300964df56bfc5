package members

import (
	"encoding/json"
	"fmt"

	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/ring"
)

// value is what a member's lease shows. The ID is the lease's name.
type value struct {
	Addr   string            `json:"addr,omitempty"`
	Zone   string            `json:"zone,omitempty"`
	Weight float64           `json:"weight,omitempty"`
	State  ring.State        `json:"state"`
	Meta   map[string]string `json:"meta,omitempty"`
}

func encode(n ring.Node) ([]byte, error) {
	if err := check(n); err != nil {
		return nil, err
	}
	b, err := json.Marshal(value{n.Addr, n.Zone, n.Weight, n.State, n.Meta})
	if err != nil {
		return nil, fmt.Errorf("members: %w: node %.40q: %w", ErrInvalid, n.ID, err)
	}
	return b, nil
}

func decode(h lock.Holder) (ring.Node, error) {
	var v value
	if err := json.Unmarshal(h.Value, &v); err != nil {
		return ring.Node{}, fmt.Errorf("members: value of %.40q: %w", h.Name, err)
	}
	n := ring.Node{ID: h.Name, Addr: v.Addr, Zone: v.Zone, Weight: v.Weight, State: v.State, Meta: v.Meta}
	return n, check(n)
}
