package breaker

import "time"

// clock tells the time since the breaker was made. A base in a package variable would be outside the bubble of a test.
type clock struct{ base time.Time }

// instant is a time in nanoseconds of a clock.
type instant int64

func newClock() clock { return clock{time.Now()} }

func (c clock) now() instant { return instant(time.Since(c.base)) }

func (c clock) time(i instant) time.Time { return c.base.Add(time.Duration(i)) }

// until returns the time from now to i, at least 0.
func (c clock) until(i instant) time.Duration { return max(0, time.Duration(i-c.now())) }
