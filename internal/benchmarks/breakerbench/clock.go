package breakerbench

import (
	"context"
	"fmt"
	"time"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
)

// readings measures what reading the clock costs: a good part of a call, once through ours and twice through gobreaker.
func readings(context.Context) ([]ratio.Row, error) {
	base := time.Now()
	since := func(n int) error {
		for range n {
			_ = time.Since(base)
		}
		return nil
	}
	now := func(n int) error {
		for range n {
			_ = time.Now()
		}
		return nil
	}
	r, err := ratio.Compare(since, now, brief)
	if err != nil {
		return nil, err
	}
	return []ratio.Row{{
		Goal: "the clock alone, time.Since",
		Ours: nanos(r.CPU.Ours()),
		Peer: "time.Now " + nanos(r.CPU.Peer()),
		Note: fmt.Sprintf("%.3g×; ours reads it once for a call, gobreaker twice", r.CPU.Ratio()),
	}}, nil
}
