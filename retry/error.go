package retry

import (
	"fmt"
	"time"
)

// Error is how a policy gives up. Its Last and the cause of the context that stopped it are found by [errors.Is] and
// [errors.As].
type Error struct {
	// Attempts is how many were made.
	Attempts int
	// Elapsed is the time from the first attempt. A policy without Elapsed, Timeout and Trace reads no clock there: then it
	// is the time from the end of the first attempt that was followed by a wait, or 0.
	Elapsed time.Duration
	// Stop is why there was no other attempt.
	Stop StopCause
	// Reason is what the verdict about Last gave.
	Reason string
	// Last is the error of the last attempt; nil if there was none.
	Last error

	cause      error  // of the context
	ended      error  // what the context says itself, where that is another one
	budget     string // its name
	notApplied bool
	retryAfter time.Duration // at stopped
	stopped    time.Time
}

// StopCause is why there was no other attempt.
type StopCause uint8

// The reasons to stop.
const (
	OutOfAttempts     StopCause = iota + 1 // Options.Attempts were made
	OutOfTime                              // the wait does not fit into Options.Elapsed
	PastDeadline                           // the wait does not fit into the deadline of the context
	ContextEnded                           // the context of the caller has ended
	PermanentError                         // the verdict is Stop
	UnsafeRepeat                           // Options.Unsafe, and the work may have been done
	BudgetEmpty                            // the local limit on retries is reached: no server said so
	BreakerOpen                            // a circuit breaker refused the call
	RetryAfterTooLong                      // the error asks for more than Options.MaxRetryAfter
	NestedRetry                            // a layer above is retrying already
	LoopLeft                               // the loop was left before its end
)

var stopCauses = [...]string{
	"none", "out of attempts", "out of time", "no time for the wait before the deadline", "context ended", "permanent",
	"not safe to repeat", "retry budget empty", "breaker open", "asked to wait too long", "a layer above retries", "loop left",
}

// String returns a few words, such as "out of attempts".
func (s StopCause) String() string {
	if int(s) < len(stopCauses) {
		return stopCauses[s]
	}
	return fmt.Sprintf("StopCause(%d)", uint8(s))
}

// Error implements error.
func (e *Error) Error() string {
	why := e.Stop.String()
	switch {
	case e.Stop == ContextEnded && e.cause != nil:
		why += ": " + e.cause.Error()
	case e.Stop == BudgetEmpty:
		why = fmt.Sprintf("local retry budget %q is empty", e.budget)
	case e.Stop == RetryAfterTooLong:
		why = fmt.Sprintf("%s: %v", why, e.retryAfter)
	}
	if e.Reason != "" {
		why += ", " + e.Reason
	}
	switch e.Attempts {
	case 0:
		return fmt.Sprintf("retry: no attempt (%s)", why)
	case 1:
		return fmt.Sprintf("retry: gave up after 1 attempt (%s): %v", why, e.Last)
	default:
		return fmt.Sprintf("retry: gave up after %d attempts (%s): %v", e.Attempts, why, e.Last)
	}
}

// Unwrap returns Last, and where the context has stopped it, its cause and its error: those of them that there are.
func (e *Error) Unwrap() []error {
	errs := make([]error, 0, 3)
	for _, err := range []error{e.Last, e.cause, e.ended} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// isFinal reports whether another attempt would be in vain, or not allowed, whoever makes it.
func (e *Error) isFinal() bool { return e.Stop == PermanentError || e.Stop == UnsafeRepeat }

// NotApplied reports whether no attempt can have done the work: each failed with a verdict that says so, or there was none.
func (e *Error) NotApplied() bool { return e.notApplied }

// RetryAfter returns what is left, from now, of the wait that Last asked for; 0 if it asked for none.
func (e *Error) RetryAfter() time.Duration {
	if e.retryAfter == 0 {
		return 0
	}
	return max(0, e.retryAfter-time.Since(e.stopped))
}
