package election

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	minPause = 100 * time.Millisecond // a term that ends at once must not keep a server busy
	maxPause = 2 * time.Second        // adds to the time without a leader when the server is back
)

// pace sets the pauses between campaigns. They are random, since whatever ends one candidate's campaign often ends that of
// all of them.
type pace struct{ most time.Duration }

// reset makes the next pause a short one.
func (p *pace) reset() { p.most = 0 }

// slow makes the next pause a longer one than the last.
func (p *pace) slow() { p.most = min(2*p.most, maxPause) }

// pause waits for between half of the longest pause and all of it. It returns why ctx has ended if that comes first.
func (p *pace) pause(ctx context.Context) error {
	p.most = max(p.most, minPause)
	timer := time.NewTimer(p.most/2 + rand.N(p.most/2))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return ended(ctx)
}
