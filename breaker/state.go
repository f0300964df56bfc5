package breaker

import "fmt"

// State is what a breaker does with calls.
type State uint8

// The states of a breaker.
const (
	Closed     State = iota // lets all calls through and counts them
	HalfOpen                // lets a few through, to see
	Open                    // refuses all, until the open time is over
	ForcedOpen              // refuses all, until Reset
	Disabled                // lets all through and counts nothing, until Reset
)

var states = [...]string{"closed", "half-open", "open", "forced-open", "disabled"}

// String returns the name of s, such as "half-open".
func (s State) String() string {
	if int(s) < len(states) {
		return states[s]
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// held reports whether only an operator ends s.
func (s State) held() bool { return s == ForcedOpen || s == Disabled }

// Cause is why a breaker changed its state.
type Cause uint8

// The causes of a change.
const (
	Manual       Cause = iota + 1 // a method was called; see Reason
	FailureRate                   // too large a part of the calls failed
	Consecutive                   // too many calls failed in a row
	SlowRate                      // too large a part of the calls was slow
	InFlight                      // too many calls were in flight
	TimeOver                      // the open time is over, and a call came
	ProbeFailed                   // a probe failed or was slow
	ProbeTimeout                  // a probe did not end in time
	Recovered                     // enough probes succeeded
)

var causes = [...]string{
	"none", "manual", "failure rate", "consecutive failures", "slow calls", "calls in flight", "open time over",
	"probe failed", "probe timed out", "probes succeeded",
}

// String returns a few words, such as "failure rate"; "none" for 0, which is the cause of a new breaker's state.
func (c Cause) String() string {
	if int(c) < len(causes) {
		return causes[c]
	}
	return fmt.Sprintf("Cause(%d)", uint8(c))
}
