package election

import "context"

// termContext is the context of a leader's work. It has the values of the context that the caller gave, and not what a hook
// added for the campaign, which is over.
type termContext struct {
	context.Context                 // ends with the leadership, and maybe before
	lease           context.Context // knows the end by the clock, in a process that was stopped before any timer
	caller          context.Context
}

// Err implements context.Context.
func (c *termContext) Err() error {
	if err := c.Context.Err(); err != nil {
		return err
	}
	return c.lease.Err()
}

// Value implements context.Context.
func (c *termContext) Value(key any) any {
	// Package context finds the cancellation that belongs to Done under a key of its own, as a Context.
	if v, ok := c.Context.Value(key).(context.Context); ok {
		return v
	}
	return c.caller.Value(key)
}

// requestContext ends with the caller's context and has the values that a hook added.
type requestContext struct {
	context.Context
	traced context.Context
}

// Value implements context.Context.
func (c *requestContext) Value(key any) any {
	// As above: what belongs to Done is the caller's.
	if v, ok := c.Context.Value(key).(context.Context); ok {
		return v
	}
	return c.traced.Value(key)
}
