package breaker

import (
	"context"
	"sync/atomic"
)

// Permit is the right to make one call. [Breaker.Allow] gives it, and Done or Cancel gives it back; more calls of
// them do nothing. It must not be copied. A Permit that is lost counts for nothing, but one that was a probe fails after
// ProbeTimeout, and one that Rules.InFlight counts stays in flight until the state changes.
type Permit struct {
	call  call
	ended atomic.Bool
}

// Allow lets one call through, or returns an [*OpenError]. It is for calls that are not one func: use Do where you can.
//
//	permit, err := b.Allow()
//	if err != nil {
//		return err
//	}
//	defer permit.Cancel() // for a panic, and for returns without a result; does nothing after Done
//	err = call()
//	permit.Done(err)
func (b *Breaker) Allow() (Permit, error) {
	c, err := b.begin(context.Background())
	return Permit{call: c}, err
}

// Done tells how the call ended. [context.Canceled], wrapped or not, is neutral; all else is judged as by Do.
func (p *Permit) Done(err error) {
	if p.call.b == nil || p.ended.Swap(true) {
		return
	}
	out := Failure // what a panic of Classify leaves
	defer func() { p.call.end(out) }()
	out = p.call.b.reported(err)
}

// Cancel gives the permit back without a result: the call was not made, or nothing is known of it.
func (p *Permit) Cancel() {
	if p.call.b != nil && !p.ended.Swap(true) {
		p.call.end(Ignore)
	}
}
