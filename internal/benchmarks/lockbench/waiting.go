package lockbench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
	"github.com/concordkit/concord/internal/benchmarks/redisproc"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/redislock"
)

const (
	// The window holds two TTLs, so renewals show.
	waitTTL    = 3 * time.Second
	waitWindow = 6 * time.Second
	// defaultTTL is what users get. Its window holds three renewals of each waiter, and is long enough to show also what
	// silent push connections are asked.
	defaultTTL    = 15 * time.Second
	defaultWindow = 15 * time.Second
	// pollWindow is enough for pollers, which do the same all the time.
	pollWindow = 3 * time.Second
)

// waiting compares what waiters on a lock that stays held ask of the server.
func waiting(ctx context.Context, s *redisproc.Server) ([]ratio.Row, error) {
	polls, err := pollersRate(ctx, s)
	if err != nil {
		return nil, err
	}
	line := waitLine{ctx: ctx, s: s}
	var rows []ratio.Row
	for _, processes := range []int{waiters, 1} {
		who := fmt.Sprintf("%d waiting processes", processes)
		if processes == 1 {
			who = fmt.Sprintf("%d waiters of one process", waiters)
		}
		brief, err := line.measure(processes, waitTTL, waitWindow)
		if err != nil {
			return nil, err
		}
		usual, err := line.measure(processes, defaultTTL, defaultWindow)
		if err != nil {
			return nil, err
		}
		rows = append(rows, waitRow(who, waitTTL, brief, polls), waitRow(who, defaultTTL, usual, polls))
	}
	rows[0].Note = fmt.Sprintf("each waiter renews its place %d times per TTL: %.0f /s", renewals, waiters*renewals/waitTTL.Seconds())
	return rows, nil
}

func waitRow(who string, ttl time.Duration, r rate, polls float64) ratio.Row {
	row := ratio.Row{
		Goal:   fmt.Sprintf("requests of %s on a held lock, TTL %v", who, ttl),
		Ours:   fmt.Sprintf("%.1f /s", r.commands),
		Peer:   fmt.Sprintf("bsm/redislock %.0f /s", polls),
		Value:  r.commands / polls,
		Target: ratio.AtMost(0.05, ratio.Times),
	}
	if r.trips < r.commands {
		row.Note = fmt.Sprintf("in %.1f round trips /s, %.3f×: renewals of one process share a pipeline", r.trips, r.trips/polls)
	}
	return row
}

// rate is what waiters sent per second.
type rate struct {
	commands float64
	trips    float64 // with a pipeline as one
}

type waitLine struct {
	ctx context.Context
	s   *redisproc.Server
	run int
}

// measure makes waiters of ours, spread over processes, wait for a lock that is held.
func (l *waitLine) measure(processes int, ttl, window time.Duration) (rate, error) {
	l.run++
	name := fmt.Sprint("waiting", l.run)
	rdb := l.s.Client()
	defer rdb.Close()
	held, err := redislock.New(rdb, nil).Acquire(l.ctx, lock.Claim{
		Name: name, ID: name, Weight: lock.All, Capacity: lock.All, TTL: time.Minute, NoWait: true,
	}, func(lock.State) {})
	if err != nil || held.Phase != lock.Held {
		return rate{}, fmt.Errorf("%q was not free: %w", name, err)
	}
	ps := make([]process, processes)
	all := new(pipes)
	for i := range ps {
		rdb := l.s.Client()
		rdb.AddHook(all)
		ps[i] = concordOn(rdb, &lock.Options{TTL: ttl}, func() { rdb.Close() })
		defer ps[i].close()
	}
	var r rate
	r.commands, err = l.count(ps, name, window, all.reset)
	pipelines, piped := all.read()
	r.trips = r.commands - float64(piped-pipelines)/window.Seconds()
	return r, err
}

// pollersRate is the same for bsm/redislock.
func pollersRate(ctx context.Context, s *redisproc.Server) (float64, error) {
	ps, closeAll, err := bsmLibrary.openAll(s, waiters)
	if err != nil {
		return 0, err
	}
	defer closeAll()
	rdb := s.Client()
	defer rdb.Close()
	if err := rdb.Set(ctx, "polled", "held", time.Minute).Err(); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute) // without a deadline its Obtain gives up after the TTL
	defer cancel()
	l := &waitLine{ctx: ctx, s: s}
	return l.count(ps, "polled", pollWindow, func() {})
}

// count returns the commands per second while the waiters wait.
func (l *waitLine) count(ps []process, name string, window time.Duration, start func()) (float64, error) {
	ctx, cancel := context.WithCancel(l.ctx)
	errs := make([]error, waiters)
	var wg sync.WaitGroup
	for i, at := range arrivalsOf(0) {
		wg.Go(func() {
			time.Sleep(at)
			_, errs[i] = ps[i%len(ps)].acquire(ctx, name)
		})
	}
	time.Sleep(arrivals + settling)
	start()
	n, err := count(l.ctx, l.s, func() error { return sleep(l.ctx, window) })
	cancel()
	wg.Wait()
	for _, e := range errs {
		if !errors.Is(e, context.Canceled) {
			err = errors.Join(err, fmt.Errorf("a waiter ended with %w", e))
		}
	}
	return n / window.Seconds(), err
}
