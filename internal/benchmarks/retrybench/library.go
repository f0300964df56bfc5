package retrybench

import (
	"context"
	"errors"
)

// retrier is a policy of one library.
type retrier interface {
	// calls runs w to its success n times. Each retrier has a loop of its own, all alike: a call through an interface would be
	// a part of what is measured.
	calls(ctx context.Context, n int, w *work)
}

// library makes policies of up to four attempts without a wait between them.
type library struct {
	name string
	open func() (retrier, error)
}

var errDown = errors.New("down")

// work fails so many times before each success.
type work struct {
	failures  int
	failed    int // since the last success
	succeeded int
}

// run is one attempt. No call of a server is inlined, so this one is not either.
//
//go:noinline
func (w *work) run(context.Context) error {
	if w.failed < w.failures {
		w.failed++
		return errDown
	}
	w.failed = 0
	w.succeeded++
	return nil
}
