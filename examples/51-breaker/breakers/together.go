package breakers

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/concordkit/concord/breaker"
)

const (
	processes = 1000
	// outage is how long each breaker stays open, more or less.
	outage = time.Second
	// tick is the time between two calls of a process.
	tick = 5 * time.Millisecond
)

// together opens the breakers of a thousand processes at once, as a server does that dies, and notes when each lets a call
// through again: what a server has to bear that is just coming back.
func (o Options) together(ctx context.Context, out io.Writer) error {
	counters, breakers := new(fleet), new(fleet)
	start := time.Now()
	for i := range processes {
		c := &counter{openFor: outage}
		// The jitter is twice the default, so that nobody has to watch for longer.
		b, err := breaker.New(fmt.Sprintf("shop %d", i), &breaker.Options{
			Rules: breaker.Rules{Consecutive: tolerated}, OpenFor: outage, Jitter: 0.5,
		})
		if err != nil {
			return err
		}
		for _, f := range []struct {
			fleet *fleet
			do    do
		}{{counters, c.do}, {breakers, b.Do}} {
			for range tolerated {
				_ = f.do(ctx, broken)
			}
			f.fleet.open = append(f.fleet.open, f.do)
		}
	}
	for len(counters.open)+len(breakers.open) > 0 {
		if err := sleep(ctx, tick); err != nil {
			return err
		}
		at := time.Since(start)
		counters.call(ctx, at)
		breakers.call(ctx, at)
	}
	o.draw(out, counters, breakers)
	return nil
}
