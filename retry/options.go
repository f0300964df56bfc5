package retry

import (
	"cmp"
	"fmt"
	"math"
	"time"
)

// Options configure [New]. A nil *Options means the defaults.
type Options struct {
	// Attempts is how many there are at most, the first included, 1 to 1,000,000,000. It defaults to 3. Negative means no
	// limit: then Elapsed, the Budget or the context is what ends it.
	Attempts int
	// Elapsed bounds the time from the first attempt to the beginning of the last, 1 ms to 24 h. It does not cut an attempt
	// short, which a deadline of the context does. 0 means no limit.
	Elapsed time.Duration
	// Timeout is how long an attempt may take, 1 ms to 24 h: then its context ends. Where the deadline of the caller's
	// context comes first, that alone is set. 0 means no limit.
	Timeout time.Duration
	// Delay is the wait before the first retry, 1 µs to 24 h. It doubles with every retry. It defaults to 100 ms. Negative
	// means none: then only what an error asks for is waited.
	Delay time.Duration
	// MaxDelay bounds Delay's growth, Delay to 24 h. It defaults to 2 s, or to Delay if that is longer.
	MaxDelay time.Duration
	// Jitter spreads the delays. It defaults to FullJitter.
	Jitter Jitter
	// MaxRetryAfter is the longest wait that an error may ask for, 1 ms to 24 h: a longer one is not begun, and the error
	// comes back at once. It defaults to 30 s.
	MaxRetryAfter time.Duration
	// AwaitOpen makes a call that an open circuit breaker refused wait exactly the RetryAfter of that breaker. Without it
	// the refusal comes back at once.
	AwaitOpen bool
	// Unsafe tells that the work must not be done twice. It is repeated only after an error of which the verdict says
	// NotApplied.
	Unsafe bool
	// Nested lets this policy retry within a retry of another one (see [Depth]).
	Nested bool
	// Classify judges errors; nil leaves it to the errors, see the package comment. It is not asked about errors of
	// [Permanent] and [After]. It must be quick.
	Classify Classifier
	// Budget is asked before each retry, and told of each success. Nil means no limit.
	Budget Budget
	// Trace observes the policy. Nil costs nothing.
	Trace *Trace
}

const (
	shortest = time.Millisecond
	longest  = 24 * time.Hour
	most     = 1_000_000_000
	minDelay = time.Microsecond

	defaultAttempts      = 3
	defaultDelay         = 100 * time.Millisecond
	defaultMaxDelay      = 2 * time.Second
	defaultMaxRetryAfter = 30 * time.Second
)

// filled returns o with its defaults: 0 where there is no delay, and the most attempts where there is no limit. The first
// value that breaks its rule is an error.
func (o Options) filled() (Options, error) {
	o.Attempts = cmp.Or(o.Attempts, defaultAttempts)
	o.Delay = cmp.Or(o.Delay, defaultDelay)
	o.MaxDelay = cmp.Or(o.MaxDelay, max(defaultMaxDelay, min(o.Delay, longest)))
	o.MaxRetryAfter = cmp.Or(o.MaxRetryAfter, defaultMaxRetryAfter)
	if o.Attempts < 0 {
		o.Attempts = math.MaxInt
	} else if err := within("Attempts", o.Attempts, 1, most); err != nil {
		return Options{}, err
	}
	if o.Delay < 0 {
		o.Delay = 0
	} else if err := within("Delay", o.Delay, minDelay, longest); err != nil {
		return Options{}, err
	}
	for _, err := range []error{
		optional("Elapsed", o.Elapsed),
		optional("Timeout", o.Timeout),
		within("MaxDelay", o.MaxDelay, max(o.Delay, minDelay), longest),
		within("MaxRetryAfter", o.MaxRetryAfter, shortest, longest),
	} {
		if err != nil {
			return Options{}, err
		}
	}
	if o.Jitter > NoJitter {
		return Options{}, fmt.Errorf("%w: Jitter %d: want one of the constants", ErrInvalid, o.Jitter)
	}
	return o, nil
}

func within[T int | time.Duration](name string, v, least, most T) error {
	if v < least || v > most {
		return fmt.Errorf("%w: %s %v: want %v to %v", ErrInvalid, name, v, least, most)
	}
	return nil
}

// optional accepts 0 too.
func optional(name string, d time.Duration) error {
	if d != 0 && (d < shortest || d > longest) {
		return fmt.Errorf("%w: %s %v: want %v to %v, or 0 for none", ErrInvalid, name, d, shortest, longest)
	}
	return nil
}

// fraction accepts what is above 0 and at most most.
func fraction(name string, v, most float64) error {
	if !(v > 0 && v <= most) { // NaN is refused by this form
		return fmt.Errorf("%w: %s %v: want more than 0, at most %v", ErrInvalid, name, v, most)
	}
	return nil
}

// ratio accepts what counts in thousandths.
func ratio(v float64) error {
	if !(v >= minRatio && v <= 1) { // NaN is refused by this form
		return fmt.Errorf("%w: Ratio %v: want %v to 1, or negative for none", ErrInvalid, v, minRatio)
	}
	return nil
}
