package breaker

import (
	"cmp"
	"fmt"
	"math"
	"time"
)

// Options configure [New]. A nil *Options means the defaults.
type Options struct {
	// Rules say when a closed breaker opens.
	Rules Rules
	// OpenFor is how long the breaker stays open the first time, 1 ms to 24 h. It defaults to 5 s. It doubles with every
	// time that the probes fail.
	OpenFor time.Duration
	// MaxOpenFor bounds the growth of the open time before it is jittered, OpenFor to 24 h. It defaults to 1 minute, or to
	// OpenFor if that is longer.
	MaxOpenFor time.Duration
	// Jitter is how much an open time may differ from the rule, as a part of it, up to 1: with 0.25, the default, 5 s
	// become 3.75 s to 6.25 s. Negative means none.
	Jitter float64
	// Probes is how many calls are let through while half-open, and how many have to succeed before the breaker
	// closes, 1 to 1,000,000. It defaults to 1.
	Probes int
	// ProbeTimeout is how long a probe may take, 1 ms to 24 h. One that takes longer, or whose Permit was lost, has
	// failed. It defaults to 10 s.
	ProbeTimeout time.Duration
	// Classify says what the error of a call means; nil makes each a failure. It is not asked about nil, nor about
	// what came after the caller had cancelled. It must be quick. What it returns besides the three outcomes is a failure.
	Classify func(error) Outcome
	// Trace observes the breaker. Nil costs nothing.
	Trace *Trace
}

// Rules say when a closed breaker opens: when one of them breaks. They are looked at when a call fails or is slow, and
// InFlight when a call begins. With all off, a breaker opens only from outside.
type Rules struct {
	// Window is how far back rates look, 100 ms to 1 h. It moves on in eight steps. It defaults to 10 s.
	Window time.Duration
	// FailureRate is the part of the calls in the window that may fail: the breaker opens at it. It is above 0, at most
	// 1, and defaults to 0.5. Negative means off.
	FailureRate float64
	// MinCalls is how many calls must be in the window before a rate says anything, 1 to 1,000,000,000. It defaults to 20.
	MinCalls int
	// Consecutive is how many calls may fail without one that succeeds between: the breaker opens at it, 1 to 1,000,000,000.
	// 0 or negative means off.
	Consecutive int
	// SlowAfter is how long a call may take before it is slow, up to 24 h. 0 or negative means off. A probe that is slow
	// has failed.
	SlowAfter time.Duration
	// SlowRate is the part of the calls in the window that may be slow: the breaker opens at it. It is above 0, at most
	// 1, and defaults to 0.5. Negative means off, but for probes.
	SlowRate float64
	// InFlight is how many calls may be in flight at once: the breaker opens at the next one, which is refused. It sees
	// calls that hang, which the other rules do not. 0 or negative means off, at most 1,000,000,000.
	InFlight int
}

const (
	shortest = time.Millisecond
	longest  = 24 * time.Hour
	most     = 1_000_000_000

	minWindow = 100 * time.Millisecond
	maxWindow = time.Hour
	maxProbes = 1_000_000

	defaultWindow       = 10 * time.Second
	defaultRate         = 0.5
	defaultMinCalls     = 20
	defaultOpenFor      = 5 * time.Second
	defaultMaxOpenFor   = time.Minute
	defaultJitter       = 0.25
	defaultProbeTimeout = 10 * time.Second
)

// filled returns o with its defaults, and 0 where something is off. The first value that breaks its rule is an error.
func (o Options) filled() (Options, error) {
	r := &o.Rules
	r.Window = cmp.Or(r.Window, defaultWindow)
	r.FailureRate = cmp.Or(r.FailureRate, defaultRate)
	r.MinCalls = cmp.Or(r.MinCalls, defaultMinCalls)
	r.SlowRate = cmp.Or(r.SlowRate, defaultRate)
	o.OpenFor = cmp.Or(o.OpenFor, defaultOpenFor)
	o.MaxOpenFor = cmp.Or(o.MaxOpenFor, max(defaultMaxOpenFor, min(o.OpenFor, longest)))
	o.Jitter = cmp.Or(o.Jitter, defaultJitter)
	o.Probes = cmp.Or(o.Probes, 1)
	o.ProbeTimeout = cmp.Or(o.ProbeTimeout, defaultProbeTimeout)
	for _, err := range []error{
		within("Rules.Window", r.Window, minWindow, maxWindow),
		part("Rules.FailureRate", &r.FailureRate),
		within("Rules.MinCalls", r.MinCalls, 1, most),
		off("Rules.Consecutive", &r.Consecutive, most),
		off("Rules.SlowAfter", &r.SlowAfter, longest),
		part("Rules.SlowRate", &r.SlowRate),
		off("Rules.InFlight", &r.InFlight, most),
		within("OpenFor", o.OpenFor, shortest, longest),
		within("MaxOpenFor", o.MaxOpenFor, o.OpenFor, longest),
		part("Jitter", &o.Jitter),
		within("Probes", o.Probes, 1, maxProbes),
		within("ProbeTimeout", o.ProbeTimeout, shortest, longest),
	} {
		if err != nil {
			return Options{}, err
		}
	}
	return o, nil
}

func within[T int | time.Duration](name string, v, least, most T) error {
	if v < least || v > most {
		return fmt.Errorf("%w: %s %v: want %v to %v", ErrInvalid, name, v, least, most)
	}
	return nil
}

// off makes a value of 0 or less 0.
func off[T int | time.Duration](name string, v *T, most T) error {
	*v = max(*v, 0)
	return within(name, *v, 0, most)
}

// part makes a negative part 0, which is off.
func part(name string, v *float64) error {
	if math.IsNaN(*v) || math.IsInf(*v, 0) || *v > 1 {
		return fmt.Errorf("%w: %s %v: want more than 0, at most 1, or negative for off", ErrInvalid, name, *v)
	}
	*v = max(*v, 0)
	return nil
}
