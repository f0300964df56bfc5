package ringbench

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
)

const (
	readers  = 2
	interval = time.Millisecond // between changes
	// breath is how many lookups a goroutine makes before it lets others run. Without that the writer, whose timer
	// only an idle or a yielding processor serves, would get its turn every 10 ms.
	breath = 2048
)

// churn compares lookups while nodes come and go with lookups while none does.
func churn(ctx context.Context) ([]ratio.Row, error) {
	var rows []ratio.Row
	for _, c := range []struct {
		name   string
		open   func(ids []string) (shifting, error)
		target ratio.Bound
	}{
		{slots.String(), shiftingRing(slots), ratio.AtMost(3, ratio.Times)},
		{vnodes.String(), shiftingRing(vnodes), ratio.AtMost(3, ratio.Times)},
		{"groupcache under a RWMutex", newLockedGroupcache, ratio.Bound{}},
		{"serialx behind an atomic pointer", newSwappedSerialx, ratio.Bound{}},
	} {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s, err := c.open(servers(some))
		if err != nil {
			return nil, err
		}
		row, err := compareChurn(c.name, s)
		if err != nil {
			return nil, err
		}
		row.Target = c.target
		if c.target == (ratio.Bound{}) {
			row.Note = times(row.Value, row.Note)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func compareChurn(name string, s shifting) (ratio.Row, error) {
	w := writer{shifting: s}
	quiet := func(n int) error {
		read(s, n)
		return nil
	}
	r, err := ratio.Compare(w.disturb, quiet, &ratio.Options{Pairs: 15})
	if err != nil {
		return ratio.Row{}, err
	}
	return ratio.Row{
		Goal:  fmt.Sprintf("CPU of a lookup while a node joins or leaves each ms, %s, %d nodes", name, some),
		Ours:  nanos(r.CPU.Ours()),
		Peer:  "quiet " + nanos(r.CPU.Peer()),
		Value: r.CPU.Ratio(),
		Note:  fmt.Sprintf("wall %.2f×; %.2f changes per ms", r.Wall.Ratio(), w.rate()),
	}, nil
}

// read makes n lookups, spread over the readers.
func read(s shifting, n int) {
	var wg sync.WaitGroup
	for i := range readers {
		wg.Go(func() {
			for from := i * n / readers; from < (i+1)*n/readers; from += breath {
				s.lookups(from, min(breath, (i+1)*n/readers-from))
				runtime.Gosched()
			}
		})
	}
	wg.Wait()
}

// writer changes what others read, and counts.
type writer struct {
	shifting
	changes int
	busy    time.Duration
}

// disturb makes n lookups while the writer is at work.
func (w *writer) disturb(n int) error {
	start := time.Now()
	done := make(chan struct{})
	var err error
	var wg sync.WaitGroup
	wg.Go(func() { err = w.work(start, done) })
	read(w, n)
	close(done)
	wg.Wait()
	w.busy += time.Since(start)
	return err
}

// work makes up for changes that were late, as long as it can.
func (w *writer) work(start time.Time, done chan struct{}) error {
	for next := start.Add(interval); ; next = next.Add(interval) {
		select {
		case <-done:
			return nil
		case <-time.After(time.Until(next)):
		}
		if err := w.change(); err != nil {
			return err
		}
		w.changes++
	}
}

// rate returns the changes per millisecond.
func (w *writer) rate() float64 { return float64(w.changes) / (w.busy.Seconds() * 1e3) }
