package lockbench

import (
	"context"
	"fmt"
	"time"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
	"github.com/concordkit/concord/internal/benchmarks/redisproc"
	"github.com/concordkit/concord/lock"
)

// renewals is how often a claim is renewed in a TTL.
const renewals = 3

const (
	operations = 100
	renewedTTL = 1500 * time.Millisecond
)

// requests counts what each operation of ours asks of the server.
func requests(ctx context.Context, s *redisproc.Server) ([]ratio.Row, error) {
	var rows []ratio.Row
	for _, measure := range []func(context.Context, *redisproc.Server) ([]ratio.Row, error){freeRequests, contendedRequests, renewalPipelines} {
		more, err := measure(ctx, s)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

// exact makes a row whose target is what the design says it takes.
func exact(what string, n, limit float64, note string) ratio.Row {
	return ratio.Row{
		Goal: "requests, " + what, Ours: fmt.Sprintf("%.2f", n), Value: n, Target: ratio.AtMost(limit, ""), Note: note,
	}
}

// count returns how many requests the clients sent in f.
func count(ctx context.Context, s *redisproc.Server, f func() error) (float64, error) {
	if err := s.ResetStats(ctx); err != nil {
		return 0, err
	}
	if err := f(); err != nil {
		return 0, err
	}
	n, err := s.Requests(ctx)
	return float64(n), err
}

func freeRequests(ctx context.Context, s *redisproc.Server) ([]ratio.Row, error) {
	ps, closeAll, err := concord.openAll(s, 1)
	if err != nil {
		return nil, err
	}
	defer closeAll()
	if err := cycle(ctx, ps[0], "warm"); err != nil { // connects, asks for Info and loads the scripts
		return nil, err
	}
	releases := make([]func() error, operations)
	acquired, err := count(ctx, s, func() (err error) {
		for i := range releases {
			if releases[i], err = ps[0].acquire(ctx, fmt.Sprint("free", i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	released, err := count(ctx, s, func() error {
		for _, release := range releases {
			if err := release(); err != nil {
				return err
			}
		}
		return nil
	})
	return []ratio.Row{
		exact("free acquire", acquired/operations, 1, ""),
		exact("release", released/operations, 1, ""),
	}, err
}

func cycle(ctx context.Context, p process, name string) error {
	release, err := p.acquire(ctx, name)
	if err != nil {
		return err
	}
	return release()
}

// contendedRequests lets two processes pass a lock to and fro. The one that waits is in line before the other releases.
func contendedRequests(ctx context.Context, s *redisproc.Server) ([]ratio.Row, error) {
	p, closeAll, err := newPingPong(ctx, s)
	if err != nil {
		return nil, err
	}
	defer closeAll()
	var first, wait, handOver float64
	for range p.ends { // the first wait of each process subscribes
		w, h, err := p.turn(ctx)
		if err != nil {
			return nil, err
		}
		first = w + h
	}
	for range operations {
		w, h, err := p.turn(ctx)
		if err != nil {
			return nil, err
		}
		wait, handOver = wait+w, handOver+h
	}
	return []ratio.Row{
		exact("release to next hold, beside the release", handOver/operations-1, 0, ""),
		exact("contended cycle", (wait+handOver)/operations, 2,
			fmt.Sprintf("%.0f where the process has not waited in the last 10 s: it subscribes", first)),
	}, p.release()
}

// pingPong is two processes, one of which holds.
type pingPong struct {
	ends    [2]process
	queued  chan struct{}
	count   func(func() error) (float64, error)
	release func() error
	holder  int
}

func newPingPong(ctx context.Context, s *redisproc.Server) (*pingPong, func(), error) {
	p := &pingPong{
		queued: make(chan struct{}, 1),
		count:  func(f func() error) (float64, error) { return count(ctx, s, f) },
	}
	trace := &lock.Trace{Queued: func(context.Context, lock.Claim) { p.queued <- struct{}{} }}
	for i := range p.ends {
		rdb := s.Client()
		p.ends[i] = concordOn(rdb, &lock.Options{TTL: ttl, Trace: trace}, func() { rdb.Close() })
	}
	closeAll := func() {
		for _, end := range p.ends {
			end.close()
		}
	}
	release, err := p.ends[p.holder].acquire(ctx, "contended")
	if err != nil {
		closeAll()
		return nil, nil, err
	}
	p.release = release
	return p, closeAll, nil
}

// turn makes the other process wait and hold, and counts the requests until it waits and from there until it holds.
func (p *pingPong) turn(ctx context.Context) (wait, handOver float64, err error) {
	type result struct {
		release func() error
		err     error
	}
	p.holder = 1 - p.holder
	held := make(chan result, 1)
	wait, err = p.count(func() error {
		go func() {
			release, err := p.ends[p.holder].acquire(ctx, "contended")
			held <- result{release, err}
		}()
		select {
		case <-p.queued:
			return nil
		case r := <-held:
			return fmt.Errorf("did not have to wait: %w", r.err)
		}
	})
	if err != nil {
		return 0, 0, err
	}
	handOver, err = p.count(func() error {
		if err := p.release(); err != nil {
			return err
		}
		r := <-held
		p.release = r.release
		return r.err
	})
	return wait, handOver, err
}

// renewalPipelines counts the pipelines in which many leases are renewed. It passes over the first renewal, which loads
// the script.
func renewalPipelines(ctx context.Context, s *redisproc.Server) ([]ratio.Row, error) {
	h := newHolder(s, renewedTTL)
	defer h.close()
	if err := acquireMany(ctx, h.Locker, operations); err != nil {
		return nil, err
	}
	if err := sleep(ctx, renewedTTL/2); err != nil {
		return nil, err
	}
	h.pipes.reset()
	if err := sleep(ctx, 2*renewedTTL); err != nil {
		return nil, err
	}
	pipelines, commands := h.pipes.read()
	return []ratio.Row{{
		Goal:   fmt.Sprintf("pipelines, renewing %d leases once", operations),
		Ours:   fmt.Sprintf("%.2f", float64(pipelines)/float64(commands)*operations),
		Value:  float64(pipelines) / float64(commands) * operations,
		Target: ratio.AtMost(1, ""),
		Note:   fmt.Sprintf("%d pipelines in %v, TTL %v, %d renewals", pipelines, 2*renewedTTL, renewedTTL, commands),
	}}, nil
}
