package retrybench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync"
	"time"

	avastretry "github.com/avast/retry-go/v5"
	"github.com/cenkalti/backoff/v7"
	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"github.com/hashicorp/go-retryablehttp"
	sethvargoretry "github.com/sethvargo/go-retry"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
	"github.com/concordkit/concord/retry"
)

const (
	// pause is the wait that every side is told to make after a failure, and left what the deadline leaves of it.
	pause = 10 * time.Second
	left  = 300 * time.Millisecond
	// atOnce is the largest time that is still 0 on a machine that others use too.
	atOnce = 1.0 // ms
)

// waiter makes calls that fail, with a wait of pause after each, until its library gives up.
type waiter struct {
	name string
	fail func(ctx context.Context) error
}

var patient = []waiter{
	{"cenkalti/backoff", func(ctx context.Context) error {
		_, err := backoff.Retry(ctx, func() (int, error) { return 0, errDown }, backoff.WithBackOff(backoff.NewConstantBackOff(pause)))
		return err
	}},
	{"avast/retry-go", func(ctx context.Context) error {
		return avastretry.New(avastretry.Context(ctx), avastretry.Delay(pause), avastretry.DelayType(avastretry.FixedDelay)).
			Do(func() error { return errDown })
	}},
	{"sethvargo/go-retry", func(ctx context.Context) error {
		return sethvargoretry.Constant(ctx, pause, func(context.Context) error { return sethvargoretry.RetryableError(errDown) })
	}},
	{"failsafe-go", func(ctx context.Context) error {
		policy := retrypolicy.NewBuilder[int]().WithDelay(pause).Build()
		return failsafe.With(policy).WithContext(ctx).Run(func() error { return errDown })
	}},
	{"go-retryablehttp", func(ctx context.Context) error {
		r, err := retryablehttp.NewRequestWithContext(ctx, http.MethodGet, "http://billing.invalid/", nil)
		if err != nil {
			return err
		}
		c := retryablehttp.NewClient()
		c.HTTPClient.Transport, c.RetryWaitMin, c.RetryWaitMax, c.Logger = unreachable{}, pause, pause, nil
		answer, err := c.Do(r)
		if err == nil {
			return answer.Body.Close()
		}
		return err
	}},
}

// unreachable is the transport to a server that is down.
type unreachable struct{}

// RoundTrip implements http.RoundTripper.
func (unreachable) RoundTrip(*http.Request) (*http.Response, error) { return nil, errDown }

var ours = waiter{"Do", func(ctx context.Context) error {
	p, err := retry.New(&retry.Options{Delay: pause, MaxDelay: pause, Jitter: retry.NoJitter})
	if err != nil {
		return err
	}
	return p.Do(ctx, func(context.Context) error { return errDown })
}}

// impossibleWaits measures how long each side waits for what cannot come before its deadline, and whether the caller still gets
// to know what failed.
func impossibleWaits(ctx context.Context) ([]ratio.Row, error) {
	peers := make([]giveUp, len(patient))
	var wg sync.WaitGroup
	for i, p := range patient {
		wg.Go(func() { peers[i] = p.measure(ctx) })
	}
	wg.Wait()
	var said []string
	for i, p := range patient {
		said = append(said, p.name+" "+peers[i].String())
	}
	var took []time.Duration
	known := true
	for range 11 {
		g := ours.measure(ctx)
		took = append(took, g.took)
		known = known && g.known
	}
	g := giveUp{time.Duration(ratio.Median(took)), known}
	row := ratio.Row{
		Goal:   fmt.Sprintf("%s, wait of %v, %v before the deadline: returns after", ours.name, pause, left),
		Ours:   g.String(),
		Peer:   strings.Join(said, ", "),
		Value:  g.millis(),
		Target: ratio.AtMost(atOnce, "ms"),
	}
	if !known {
		row.Value = math.NaN()
	}
	return []ratio.Row{row}, ctx.Err()
}

// giveUp is how a side gave up.
type giveUp struct {
	took  time.Duration
	known bool // the last error is in what it returned
}

func (w waiter) measure(ctx context.Context) giveUp {
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	start := time.Now()
	err := w.fail(ctx)
	return giveUp{time.Since(start), errors.Is(err, errDown)}
}

func (g giveUp) millis() float64 { return float64(g.took) / float64(time.Millisecond) }

// String returns a few words for a cell.
func (g giveUp) String() string {
	if g.known {
		return fmt.Sprintf("%.0f ms, the last error", g.millis())
	}
	return fmt.Sprintf("%.0f ms, the last error lost", g.millis())
}
