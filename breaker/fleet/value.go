package fleet

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/concordkit/concord/lock"
)

// The names of the leases in a fleet's directory.
const (
	memberPrefix = "member/"
	openName     = "open"
	probeName    = "probe"
)

// lastGeneration keeps generations exact for whoever reads them as floating-point numbers.
const lastGeneration = 1 << 53

// memberValue is what a member's lease shows.
type memberValue struct {
	Node string `json:"node"`
	// Closed is the newest generation that the member knows to have ended, 0 before the first.
	Closed uint64 `json:"closed"`
	Vote   *vote  `json:"vote,omitempty"`
}

// vote is a member's wish to open the fleet.
type vote struct {
	Generation uint64 `json:"generation"`
	Cause      string `json:"cause"`
}

// openValue is what the lease "open" shows.
type openValue struct {
	Node       string `json:"node"`
	Member     string `json:"member"` // the name of its lease
	Generation uint64 `json:"generation"`
	Period     int    `json:"period"`
	// LeftMS is the rest of the open time in milliseconds, when this was written.
	LeftMS int64  `json:"left_ms"`
	Reason string `json:"reason"`
}

// probeValue is what the lease "probe" shows.
type probeValue struct {
	Node       string `json:"node"`
	Generation uint64 `json:"generation"`
	Period     int    `json:"period"`
	Failed     bool   `json:"failed,omitempty"`
}

// after reports whether v comes after a period of a generation.
func (v *openValue) after(generation uint64, period int) bool {
	return v.Generation > generation || v.Generation == generation && v.Period > period
}

// of reports whether v is of the period that o is.
func (v *openValue) of(o *opening) bool { return v.Generation == o.Generation && v.Period == o.Period }

func (v *probeValue) of(o *opening) bool { return v.Generation == o.Generation && v.Period == o.Period }

// encode returns v as JSON, which these types cannot fail to be.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func decode[T any](h lock.Holder, generation func(*T) uint64) (*T, error) {
	v := new(T)
	if err := json.Unmarshal(h.Value, v); err != nil {
		return nil, fmt.Errorf("%q has the value %.40q: %w", h.Name, h.Value, err)
	}
	if g := generation(v); g > lastGeneration {
		return nil, fmt.Errorf("%q has the value %.80q: generation %d: want at most %d", h.Name, h.Value, g, uint64(lastGeneration))
	}
	return v, nil
}

// view is what a fleet's directory shows.
type view struct {
	at      time.Time // when it was seen
	live    bool      // the watch goes on
	members map[string]memberValue
	open    *openValue // the newest one, where there are several
	probe   *probeValue
	probeID string // of the lease
	closed  uint64 // the newest generation that has ended as far as anybody says
}

// read makes a view of the holders in a fleet's directory. What it does not understand it leaves out, and gives to refuse.
func read(hs []lock.Holder, refuse func(error)) view {
	v := view{at: time.Now(), live: true, members: make(map[string]memberValue, len(hs))}
	before := func(generation uint64) uint64 { return max(generation, 1) - 1 }
	for _, h := range hs {
		var err error
		switch {
		case h.Name == openName:
			var o *openValue
			if o, err = decode(h, func(o *openValue) uint64 { return o.Generation }); err == nil {
				v.closed = max(v.closed, before(o.Generation))
				if v.open == nil || o.after(v.open.Generation, v.open.Period) {
					v.open = o
				}
			}
		case h.Name == probeName:
			var p *probeValue
			if p, err = decode(h, func(p *probeValue) uint64 { return p.Generation }); err == nil {
				v.closed = max(v.closed, before(p.Generation))
				v.probe, v.probeID = p, h.ID
			}
		case strings.HasPrefix(h.Name, memberPrefix):
			var mv *memberValue
			if mv, err = decode(h, func(mv *memberValue) uint64 { return max(mv.Closed, mv.votes()) }); err == nil {
				v.closed = max(v.closed, mv.Closed, before(mv.votes()))
				v.members[h.Name] = *mv
			}
		default:
			err = fmt.Errorf("%q is no lease of a fleet", h.Name)
		}
		if err != nil {
			refuse(err)
		}
	}
	return v
}

// votes returns the generation that the member votes for, 0 for none.
func (mv *memberValue) votes() uint64 {
	if mv.Vote == nil {
		return 0
	}
	return mv.Vote.Generation
}

// votes counts the nodes that vote for a generation. Members with the same Node have one vote: a process that has crashed and is
// back is not two.
func (v *view) votes(generation uint64) int {
	nodes := map[string]bool{}
	for _, mv := range v.members {
		if mv.votes() == generation {
			nodes[mv.Node] = true
		}
	}
	return len(nodes)
}

// nodes counts the nodes.
func (v *view) nodes() int {
	nodes := map[string]bool{}
	for _, mv := range v.members {
		nodes[mv.Node] = true
	}
	return len(nodes)
}

// knows counts the members that show that a generation has ended.
func (v *view) knows(generation uint64) (n int) {
	for _, mv := range v.members {
		if mv.Closed >= generation {
			n++
		}
	}
	return n
}

// hasOthersThan reports whether there is a member that was not among those.
func (v *view) hasOthersThan(members map[string]memberValue) bool {
	for name := range v.members {
		if _, ok := members[name]; !ok {
			return true
		}
	}
	return false
}
