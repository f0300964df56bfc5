package history

import (
	"fmt"

	"github.com/anishathalye/porcupine"
)

// RegisterOp is a fenced write, or a read where Token is 0. Its output is a RegisterResult.
type RegisterOp struct {
	Name  string
	Token uint64
	Value int
}

// RegisterResult is the outcome: whether a write was accepted, or the value read.
type RegisterResult struct {
	Accepted bool
	Value    int
}

func (o RegisterOp) line() string { return o.Name }

type registerState struct {
	highest uint64
	value   int
}

// Register is the model of a fenced register: a write is accepted if and only if no higher token was seen before.
var Register = porcupine.Model{
	Partition: partition[RegisterOp],
	Init:      func() any { return registerState{} },
	Step: func(state, in, out any) (bool, any) {
		s, op, res := state.(registerState), in.(RegisterOp), out.(RegisterResult)
		switch {
		case op.Token == 0:
			return res.Value == s.value, s
		case op.Token < s.highest:
			return !res.Accepted, s
		}
		return res.Accepted, registerState{op.Token, op.Value}
	},
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v: %+v", in, out) },
}
