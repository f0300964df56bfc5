package lockbench

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
	"github.com/concordkit/concord/internal/benchmarks/redisproc"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/redislock"
)

const (
	crashes  = 10
	crashTTL = 500 * time.Millisecond
)

// crash measures how long after a dead holder's lease has ended a waiter holds. The dead holder is a claim that a
// backend made and nobody renews.
func crash(ctx context.Context, s *redisproc.Server) ([]ratio.Row, error) {
	ps, closeAll, err := concord.openAll(s, 1)
	if err != nil {
		return nil, err
	}
	defer closeAll()
	rdb := s.Client()
	defer rdb.Close()
	dying := redislock.New(rdb, nil)
	late := make([]time.Duration, crashes)
	for i := range late {
		if late[i], err = crashOnce(ctx, dying, ps[0], i); err != nil {
			return nil, err
		}
	}
	median := ratio.Median(late)
	return []ratio.Row{{
		Goal:   "crash to next holder, less what was left of the lease",
		Ours:   millis(median),
		Value:  median / 1e6,
		Target: ratio.AtMost(20, "ms"),
		Note:   fmt.Sprintf("median of %d, TTL %v", crashes, crashTTL),
	}}, nil
}

// crashOnce counts from the earliest instant at which the lease can have ended: TTL after it was asked for.
func crashOnce(ctx context.Context, dying lock.Backend, p process, i int) (time.Duration, error) {
	c := lock.Claim{
		Name: fmt.Sprint("crash", i), ID: strings.Repeat(fmt.Sprint(i), 32), Weight: lock.All, Capacity: lock.All,
		TTL: crashTTL, NoWait: true,
	}
	end := time.Now().Add(crashTTL)
	st, err := dying.Acquire(ctx, c, func(lock.State) {})
	if err != nil {
		return 0, err
	}
	if st.Phase != lock.Held {
		return 0, fmt.Errorf("%q was not free", c.Name)
	}
	release, err := p.acquire(ctx, c.Name)
	if err != nil {
		return 0, err
	}
	late := time.Since(end)
	return late, release()
}
