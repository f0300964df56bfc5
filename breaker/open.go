package breaker

import (
	"errors"
	"fmt"
	"time"
)

// ErrOpen reports that a call was refused. The error is an [*OpenError].
var ErrOpen = errors.New("breaker: open")

// OpenError is the error of a call that was refused. All calls that are refused between two changes of state get the
// same one: do not change it.
type OpenError struct {
	Name   string // of the breaker
	State  State  // Open, ForcedOpen, or HalfOpen when all probes that may run are running
	Cause  Cause  // of that state
	Reason string // what the caller of a method gave, if Cause is Manual

	clock  clock
	period *period
}

// Error implements error.
func (e *OpenError) Error() string {
	if e.Reason != "" {
		return fmt.Sprintf("breaker: %q is %v: %v (%s)", e.Name, e.State, e.Cause, e.Reason)
	}
	return fmt.Sprintf("breaker: %q is %v: %v", e.Name, e.State, e.Cause)
}

// Unwrap returns [ErrOpen].
func (e *OpenError) Unwrap() error { return ErrOpen }

// RetryAfter returns how long to wait, from now, until a call has a chance: the rest of the open time, 0 once it is
// over. While half-open, held or forced open, nobody knows: then it is the shorter of OpenFor and ProbeTimeout, or, for
// forced open, MaxOpenFor.
func (e *OpenError) RetryAfter() time.Duration {
	if e.period == nil {
		return 0
	}
	if e.State != Open {
		return e.period.again
	}
	if rest := e.clock.until(e.period.over); rest > 0 {
		return rest
	}
	return e.period.again
}

// NotApplied returns true: the call was not made, and repeating it does nothing twice.
func (e *OpenError) NotApplied() bool { return true }
