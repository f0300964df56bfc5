package elections

import "context"

// shows waits until the watch shows a leader with that ID.
func (p *play) shows(ctx context.Context, id string) error {
	for leader, err := range p.watch.All(ctx) {
		if err != nil {
			return err
		}
		if leader.ID == id {
			p.say("the watch shows %q at %q", leader.ID, leader.Value)
			break
		}
	}
	return nil
}

// await returns what comes next.
func await[T any](ctx context.Context, from <-chan T) (next T, err error) {
	select {
	case next = <-from:
		return next, nil
	case <-ctx.Done():
		return next, context.Cause(ctx)
	}
}
