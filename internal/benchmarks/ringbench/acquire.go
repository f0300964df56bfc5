package ringbench

import (
	"context"
	"fmt"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
	"github.com/concordkit/concord/ring"
)

// bounded measures a request under bounded loads, alone: no peer that can be built in does that.
func bounded(context.Context) ([]ratio.Row, error) {
	r, err := ring.New(nodesOf(servers(some)), nil)
	if err != nil {
		return nil, err
	}
	use := func(key string) {
		_, release, _ := r.Acquire(key)
		release()
	}
	d, err := alone(func(n int) error {
		for i := range n {
			use(key(i))
		}
		return nil
	})
	return []ratio.Row{{
		Goal: fmt.Sprintf("Acquire and release, %v, %d nodes", slots, some),
		Ours: nanos(d),
		Note: fmt.Sprintf("%.3g allocations", perCall(use)),
	}}, err
}
