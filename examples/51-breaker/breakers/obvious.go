package breakers

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// counter is the breaker that everybody writes first. Do not copy it.
type counter struct {
	openFor time.Duration // the same for all, each time

	mu       sync.Mutex
	failures int
	opened   time.Time // zero while it is closed
	probing  bool
}

var errRefused = errors.New("refused")

func (c *counter) do(ctx context.Context, fn func(context.Context) error) error {
	c.mu.Lock()
	if !c.opened.IsZero() {
		if c.probing || time.Since(c.opened) < c.openFor {
			c.mu.Unlock()
			return errRefused
		}
		c.probing = true
	}
	c.mu.Unlock()

	err := fn(ctx) // if it panics, nothing below runs, and the probe never ends

	c.mu.Lock()
	defer c.mu.Unlock()
	c.probing = false
	if err == nil {
		c.failures, c.opened = 0, time.Time{}
		return nil
	}
	c.failures++ // whoever is to blame
	if c.failures >= tolerated {
		c.opened = time.Now()
	}
	return err
}

func obvious(ctx context.Context, out io.Writer) error {
	return story(ctx, out, func() (gate, error) {
		c := &counter{openFor: openFor}
		return gate{c.do, errRefused}, nil
	})
}
