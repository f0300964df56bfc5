package retrybench

import (
	"context"

	"github.com/concordkit/concord/retry"
)

// options are ours for what all sides do.
func options() *retry.Options { return &retry.Options{Attempts: attempts, Delay: -1} }

// concord is ours, by Do.
var concord = library{"Do", func() (retrier, error) {
	p, err := retry.New(options())
	return doing{p}, err
}}

// concordBudget is ours, by Do, with a budget.
var concordBudget = library{"Do, with a Budget", func() (retrier, error) {
	b, err := newBudget()
	if err != nil {
		return nil, err
	}
	o := options()
	o.Budget = b
	p, err := retry.New(o)
	return doing{p}, err
}}

// concordBackground is ours, by Do, for calls that nobody can cancel, as those through a Retrier of avast's are that is used again.
var concordBackground = library{"Do with context.Background", func() (retrier, error) {
	p, err := retry.New(options())
	return enduring{doing{p}}, err
}}

type enduring struct{ doing }

func (p enduring) calls(_ context.Context, n int, w *work) { p.doing.calls(context.Background(), n, w) }

type doing struct{ *retry.Policy }

func (p doing) calls(ctx context.Context, n int, w *work) {
	for range n {
		_ = p.Do(ctx, w.run)
	}
}

// concordValue is ours, by Value.
var concordValue = library{"Value", func() (retrier, error) {
	p, err := retry.New(options())
	return valuing{p}, err
}}

type valuing struct{ *retry.Policy }

func (p valuing) calls(ctx context.Context, n int, w *work) {
	for range n {
		_, _ = retry.Value(ctx, p.Policy, func(ctx context.Context) (int, error) { return w.succeeded, w.run(ctx) })
	}
}

// concordLoop is ours, in the loop form.
var concordLoop = library{"loop form", func() (retrier, error) {
	p, err := retry.New(options())
	return looping{p}, err
}}

type looping struct{ *retry.Policy }

func (p looping) calls(ctx context.Context, n int, w *work) {
	for range n {
		a := p.Start(ctx)
		for a.Next() {
			a.Done(w.run(a.Context()))
		}
		_ = a.Err()
	}
}
