package retry

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Jitter is how delays are spread, so that callers that failed together do not come back together. It makes a wait of d, which
// is Delay doubled for each retry after the first, at most MaxDelay.
type Jitter uint8

// The kinds of jitter. All but NoJitter also put up to a tenth on top of a wait that an error asked for.
const (
	FullJitter         Jitter = iota // anything from 0 to d: spreads best
	EqualJitter                      // anything from d/2 to d: never at once
	DecorrelatedJitter               // anything from Delay to three times the delay before, at most MaxDelay
	NoJitter                         // d
)

var jitters = [...]string{"full", "equal", "decorrelated", "none"}

// String returns the name of j, such as "full".
func (j Jitter) String() string {
	if int(j) < len(jitters) {
		return jitters[j]
	}
	return fmt.Sprintf("Jitter(%d)", uint8(j))
}

// onTop is the part of a wait that is added to it as jitter: 10 s become 10 s to 11 s.
const onTop = 10

// delay returns the wait before retry n, counted from 1, after a wait of before. It is 0 to MaxDelay.
func (o *Options) delay(n int, before time.Duration) time.Duration {
	if o.Delay == 0 {
		return 0
	}
	if o.Jitter == DecorrelatedJitter {
		before = min(max(before, o.Delay), o.MaxDelay) // at most 24 h, so that times 3 is no overflow
		return between(o.Delay, min(3*before, o.MaxDelay))
	}
	d := o.MaxDelay
	if shift := n - 1; shift < 63 && o.Delay <= o.MaxDelay>>shift { // else doubling goes above MaxDelay, or overflows
		d = o.Delay << shift
	}
	switch o.Jitter {
	case NoJitter:
		return d
	case EqualJitter:
		return between(d/2, d)
	default:
		return between(0, d)
	}
}

// later returns a wait of at least d, which an error asked for.
func (o *Options) later(d time.Duration) time.Duration {
	if o.Jitter == NoJitter {
		return d
	}
	return between(d, d+d/onTop)
}

func between(least, most time.Duration) time.Duration {
	return least + rand.N(most-least+1)
}
