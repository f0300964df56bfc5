package retries

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// visit is the time between two calls by others, ten of which come at once: half of what the server can bear.
	visit    = 10 * time.Millisecond
	visitors = 10
)

// world is a server, the clients that have been its own when it went down, and others that come when it is back. Those call
// once, so that what is refused to them is refused because of the retries.
type world struct {
	name    string
	clients func(client int) do
	server  server

	gaveUp, refused atomic.Int64
}

func newWorld(name string, clients func(int) do) *world { return &world{name: name, clients: clients} }

// play has all clients of all worlds call at the same instant.
func play(ctx context.Context, worlds []*world) error {
	down := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, w := range worlds {
		for i := range clients {
			wg.Go(func() {
				<-down
				w.call(ctx, w.clients(i))
			})
		}
	}
	start := time.Now()
	for _, w := range worlds {
		w.server.start = start
	}
	close(down)
	return visitAll(ctx, worlds, start)
}

// call is what a client does.
func (w *world) call(ctx context.Context, do do) {
	if do(ctx, w.server.client()) != nil {
		w.gaveUp.Add(1)
	}
}

// visitAll has others call each server, from its return on.
func visitAll(ctx context.Context, worlds []*world, start time.Time) error {
	pause := outage + visit/2 // so that nobody comes at the same instant as the loop
	for ; time.Since(start)+pause < (steps-1)*step; pause = visit {
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		for _, w := range worlds {
			for range visitors {
				if w.server.answer() != nil {
					w.refused.Add(1)
				}
			}
		}
	}
	return nil
}
