package breakerbench

import (
	"context"
	"errors"
)

// guard is a breaker of one library.
type guard interface {
	// calls makes n calls that run w, one after the other, whether they are refused or not. Each guard has a loop of its own,
	// all alike: a call through an interface would be a part of what is measured.
	calls(ctx context.Context, n int, w *work)
}

// library makes guards that open when that part of the calls has failed.
type library struct {
	name string
	open func(rate float64) (guard, error)
}

var errDown = errors.New("down")

// mix is how calls end: so many well, then so many badly, over and over.
type mix struct{ good, bad int }

var (
	allGood = mix{good: 1}
	allBad  = mix{bad: 1}
)

// work is what a guard calls. Not to be used by two goroutines.
type work struct {
	mix
	at  int // in the mix
	ran int
	_   [96]byte // to cache lines of its own
}

func newWork(m mix) *work { return &work{mix: m, at: m.good + m.bad} }

// run is one call.
func (w *work) run() error {
	w.ran++
	w.at++
	if w.at >= w.good+w.bad {
		w.at = 0
	}
	if w.at < w.good {
		return nil
	}
	return errDown
}
