package history

import (
	"fmt"

	"github.com/anishathalye/porcupine"
)

// LeaseOp is what a client sees of an exclusive lock: it acquired it with a token, its context had not ended, or it gave
// the lock up, by a release or since it was told of a loss. Held is the observation that makes an overlap visible.
type LeaseOp struct {
	Op    LeaseEvent
	Name  string
	Token uint64 // names the grant
}

// LeaseEvent is the kind of a LeaseOp.
type LeaseEvent string

// The events of a lease.
const (
	Acquired LeaseEvent = "acquired"
	Held     LeaseEvent = "held"
	Ended    LeaseEvent = "ended"
)

func (o LeaseOp) line() string { return o.Name }

type leaseState struct{ holder, last uint64 }

// Lease is the model of an exclusive lock: it is acquired only while free, with a token above all earlier ones, and held
// only by who acquired it last.
var Lease = porcupine.Model{
	Partition: partition[LeaseOp],
	Init:      func() any { return leaseState{} },
	Step: func(state, in, _ any) (bool, any) {
		s, op := state.(leaseState), in.(LeaseOp)
		switch op.Op {
		case Acquired:
			return s.holder == 0 && op.Token > s.last, leaseState{op.Token, op.Token}
		case Held:
			return s.holder == op.Token, s
		case Ended:
			return s.holder == op.Token, leaseState{0, s.last}
		}
		return false, s
	},
	DescribeOperation: func(in, _ any) string { return fmt.Sprintf("%+v", in) },
}
