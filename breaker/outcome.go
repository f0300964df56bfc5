package breaker

import (
	"context"
	"errors"
)

// Outcome is what a call says about the thing that was called.
type Outcome uint8

// The outcomes of a call.
const (
	Success Outcome = iota // it works
	Failure                // it does not
	Ignore                 // nothing: the call counts as if it had not been made
)

// outcome judges the end of a call in Do.
func (b *Breaker) outcome(ctx context.Context, err error) Outcome {
	switch {
	case err == nil:
		return Success
	case ctx.Err() == context.Canceled: // also where err does not say so: what was cancelled fails in many ways
		return Ignore
	}
	return b.classify(err)
}

// reported judges what Permit.Done gets. There is no context to look at.
func (b *Breaker) reported(err error) Outcome {
	switch {
	case err == nil:
		return Success
	case errors.Is(err, context.Canceled):
		return Ignore
	}
	return b.classify(err)
}

func (b *Breaker) classify(err error) Outcome {
	if errors.Is(err, ErrOpen) { // nothing was sent by that either
		return Ignore
	}
	if b.o.Classify == nil {
		return Failure
	}
	if out := b.o.Classify(err); out <= Ignore {
		return out
	}
	return Failure
}
