package breakers

import (
	"context"
	"net/http"
)

// do makes a call, unless it refuses to.
type do func(context.Context, func(context.Context) error) error

// gate is a breaker of either kind, so that both go through the same story.
type gate struct {
	do      do
	refusal error // what it says instead of making a call
}

// price asks the server for a price, unless the breaker refuses to.
func (g gate) price(ctx context.Context, s *server) error {
	client := &http.Client{Transport: s}
	return g.do(ctx, func(ctx context.Context) error {
		_, err := price(ctx, client)
		return err
	})
}

// survive does the same and reports whether that panicked. It lives on, as a handler of net/http does.
func (g gate) survive(ctx context.Context, s *server) (panicked bool) {
	defer func() { panicked = recover() != nil }()
	_ = g.price(ctx, s) // what is asked is whether it returns
	return false
}
