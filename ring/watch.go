package ring

import (
	"context"
	"fmt"
	"iter"
)

// Watch follows the members of a ring. [Ring.Watch] makes it.
type Watch struct {
	ctx  context.Context
	ring *Ring
}

// Watch follows the ring until ctx ends. It costs nothing while nobody reads it.
func (r *Ring) Watch(ctx context.Context) *Watch { return &Watch{ctx, r} }

// All yields a Change that adds all members first, and then one after every change; a loop that is slow gets the changes that
// were made meanwhile as one. It ends when the loop breaks, or with one error, last: the cause of the end of the
// watch's context, or of ctx, which ends only this loop. Several loops may run at once.
func (w *Watch) All(ctx context.Context) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		seen := w.ring.View().emptied()
		for {
			for _, ctx := range []context.Context{w.ctx, ctx} {
				if ctx.Err() != nil {
					yield(Change{}, fmt.Errorf("ring: watch: %w", context.Cause(ctx)))
					return
				}
			}
			v := w.ring.View()
			if v != seen && !yield(changeOf(seen, v), nil) {
				return
			}
			seen = v
			select {
			case <-v.replaced:
			case <-w.ctx.Done():
			case <-ctx.Done():
			}
		}
	}
}
