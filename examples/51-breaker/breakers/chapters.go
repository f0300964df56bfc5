package breakers

import (
	"context"
	"errors"
	"time"
)

const (
	// callers is how many calls each chapter makes.
	callers = 20
	// attention is how long they wait for an answer that takes a second.
	attention = 5 * time.Millisecond
)

// hangUp is a search box that asks at every key that is pressed, and drops what it asked before. That says nothing about the
// server.
func hangUp(ctx context.Context, g gate) (tally, error) {
	s := &server{handler: slow}
	return s.count(callers, g.refusal, func() error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer time.AfterFunc(attention, cancel).Stop()
		return g.price(ctx, s)
	}), nil
}

// runOut waits for as long as an answer is of use. That says that the server is too slow.
func runOut(ctx context.Context, g gate) (tally, error) {
	s := &server{handler: slow}
	return s.count(callers, g.refusal, func() error {
		ctx, cancel := context.WithTimeout(ctx, attention)
		defer cancel()
		return g.price(ctx, s)
	}), nil
}

// limp never sees two failures in a row.
func limp(ctx context.Context, g gate) (tally, error) {
	s := &server{handler: limping()}
	return s.count(5*callers, g.refusal, func() error { return g.price(ctx, s) }), nil
}

// panicked opens the breaker, lets its probe panic, and waits until the next one would be due, be it after twice the time.
func panicked(ctx context.Context, g gate) (tally, error) {
	s := &server{handler: failing}
	s.count(tolerated, g.refusal, func() error { return g.price(ctx, s) })
	if err := sleep(ctx, 2*openFor); err != nil {
		return tally{}, err
	}
	s.handler = soldOut
	if !g.survive(ctx, s) {
		return tally{}, errors.New("no probe was let through")
	}
	if err := sleep(ctx, 3*openFor); err != nil {
		return tally{}, err
	}
	s.handler = well
	return s.count(callers, g.refusal, func() error { return g.price(ctx, s) }), nil
}
