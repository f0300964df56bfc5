package election

import (
	"context"
	"sync"
	"time"
)

// attend reports a function that still runs when others may lead. It has a goroutine until the func that it returns is
// called.
func (l *Leadership) attend(ctx context.Context) (returned func()) {
	if !l.e.trace.overruns() {
		return func() {}
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-l.ctx.Done():
		case <-done:
			return
		}
		select {
		case <-time.After(l.margin()):
		case <-done:
			return
		}
		end := l.e.trace.Overrun(ctx, Candidate{l.e.name, l.e.id}, l.Term())
		<-done
		end()
	})
	return func() {
		close(done)
		wg.Wait()
	}
}

// margin is how long after the end of a leadership's context nobody else leads yet, unless the Locker has a margin of its
// own.
func (l *Leadership) margin() time.Duration {
	return max(l.lease.Claim().TTL/50, 10*time.Millisecond)
}
