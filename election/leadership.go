package election

import (
	"context"
	"fmt"

	"github.com/concordkit/concord/lock"
)

// Leadership is a term of a leader. It lasts until it is resigned or lost, or its Locker is closed. Its methods may be
// called concurrently.
type Leadership struct {
	e     *Election
	lease *lock.Lease
	ctx   *termContext
	ended chan struct{} // closed when the hook has heard of the end
}

// Campaign waits until it leads and returns the leadership, for those who drive it themselves: do the work in its
// context, end it when that ends, and only then resign. Every call is a candidate of its own.
//
// When ctx ends first, its error is returned at once and the candidate leaves the line in the background. Other errors:
// [ErrInvalid], [ErrLost] when the place in line could not be kept, and those of [lock.Locker.Acquire]. After any of them
// the candidate is out of the line.
func (e *Election) Campaign(ctx context.Context) (*Leadership, error) {
	if err := e.candidate(); err != nil {
		return nil, err
	}
	c := Candidate{e.name, e.id}
	traced, done := e.trace.campaign(ctx, c)
	lease, err := e.locks.Claim(&requestContext{ctx, traced}, lock.Claim{Dir: e.name, TTL: e.ttl, Value: encode(e.id, e.value)})
	if err != nil {
		err = fmt.Errorf("election: campaign of %q: %w", e.id, err)
	}
	done(err)
	if err != nil {
		return nil, err
	}
	l := &Leadership{e: e, lease: lease, ended: make(chan struct{})}
	l.ctx = &termContext{lease.Context(), lease.Context(), ctx}
	end := e.trace.lead(ctx, c, lease.Token())
	context.AfterFunc(lease.Context(), func() {
		end(context.Cause(lease.Context()))
		close(l.ended)
	})
	return l, nil
}

// Context returns the context to do a leader's work in. It has the values of the context of the campaign, not its end: it
// ends before anyone else can lead, with a cause that is [ErrLost] or [ErrResigned] for errors.Is.
func (l *Leadership) Context() context.Context { return l.ctx }

// Term returns the term. Pass it along with every write, so that the resource can refuse those of a former leader.
func (l *Leadership) Term() Term { return l.lease.Token() }

// SetValue shows value to others from now on; an empty one means the ID. It lasts for this leadership. Errors are those of
// [lock.Lease.SetValue].
func (l *Leadership) SetValue(ctx context.Context, value string) error {
	if value == "" {
		value = l.e.id
	}
	if err := l.lease.SetValue(ctx, encode(l.e.id, value)); err != nil {
		return fmt.Errorf("election: set the value of %q: %w", l.e.id, err)
	}
	return nil
}

// Resign ends the leadership and lets the next one in. The context ends first, then the server is told, for at most the
// time that was left. So the work must have ended before: Resign cannot know.
//
// It returns [ErrLost] if the leadership was lost before. Any other error means that the server could not be told: it is
// tried again in the background, and the leadership ends with its TTL at the latest. Later calls return the same.
func (l *Leadership) Resign() error {
	err := l.lease.Release()
	<-l.ended
	if err != nil {
		return fmt.Errorf("election: resign of %q: %w", l.e.id, err)
	}
	return nil
}
