package retry_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/retry"
)

func newHedger(t *testing.T, o retry.HedgeOptions[int]) *retry.Hedger[int] {
	t.Helper()
	h, err := retry.NewHedger(&o)
	require.NoError(t, err)
	return h
}

// lane is what one attempt of a call does: it returns after a time, or when its context ends if it heeds that.
type lane struct {
	takes  time.Duration
	result int
	err    error
	deaf   bool
}

// lanes returns work whose attempts do that, and the causes by which they were ended.
func lanes(all ...lane) (work func(context.Context) (int, error), causes []error) {
	var n atomic.Int64
	causes = make([]error, len(all))
	return func(ctx context.Context) (int, error) {
		i := n.Add(1) - 1
		l := all[i]
		if l.deaf {
			time.Sleep(l.takes)
			return l.result, l.err
		}
		select {
		case <-time.After(l.takes):
			return l.result, l.err
		case <-ctx.Done():
			causes[i] = context.Cause(ctx)
			return 0, context.Cause(ctx)
		}
	}, causes
}

func TestHedge(t *testing.T) {
	const ms = time.Millisecond
	errOther := errors.New("other")
	for name, c := range map[string]struct {
		max   int
		lanes []lane
		want  int
		err   error
		took  time.Duration
		lost  int // attempts that were overtaken
	}{
		"quick":                   {2, []lane{{99 * ms, 1, nil, false}}, 1, nil, 99 * ms, 0},
		"hedge wins":              {2, []lane{{time.Hour, 1, nil, false}, {50 * ms, 2, nil, false}}, 2, nil, 150 * ms, 1},
		"first wins":              {2, []lane{{120 * ms, 1, nil, false}, {50 * ms, 2, nil, false}}, 1, nil, 120 * ms, 1},
		"third wins":              {3, []lane{{time.Hour, 1, nil, false}, {time.Hour, 2, nil, false}, {5 * ms, 3, nil, false}}, 3, nil, 205 * ms, 2},
		"no more than max":        {2, []lane{{time.Second, 1, nil, false}, {time.Hour, 2, nil, false}}, 1, nil, time.Second, 1},
		"one":                     {1, []lane{{time.Second, 1, nil, false}}, 1, nil, time.Second, 0},
		"early failure":           {2, []lane{{5 * ms, 1, errDown, false}}, 1, errDown, 5 * ms, 0},
		"first fails, hedge wins": {2, []lane{{150 * ms, 1, errDown, false}, {time.Second, 2, nil, false}}, 2, nil, 1100 * ms, 0},
		"hedge fails, first wins": {2, []lane{{time.Second, 1, nil, false}, {time.Millisecond, 2, errDown, false}}, 1, nil, time.Second, 0},
		"all fail":                {2, []lane{{300 * ms, 1, errDown, false}, {ms, 2, errOther, false}}, 1, errDown, 300 * ms, 0},
		"deaf loser":              {2, []lane{{time.Second, 1, nil, true}, {ms, 2, nil, false}}, 2, nil, time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var closed []int
				h := newHedger(t, retry.HedgeOptions[int]{Max: c.max, Close: func(v int) { closed = append(closed, v) }})
				start := time.Now()
				work, causes := lanes(c.lanes...)
				got, err := retry.Hedge(t.Context(), h, work)
				require.Equal(t, c.err, err)
				require.Equal(t, c.want, got)
				require.Equal(t, c.took, time.Since(start))
				lost := 0
				for _, cause := range causes {
					if cause != nil {
						require.Equal(t, retry.ErrLost, cause)
						lost++
					}
				}
				require.Equal(t, c.lost, lost)
				if name == "deaf loser" {
					require.Equal(t, []int{1}, closed)
				} else {
					require.Empty(t, closed)
				}
			})
		})
	}
}

// An empty budget leaves the running attempt alone.
func TestHedgeBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(t, retry.BudgetOptions{Max: 1, Ratio: 0.5, PerSecond: -1})
		hedges := 0
		h := newHedger(t, retry.HedgeOptions[int]{Max: 9, Budget: b, Trace: retry.JoinTraces(nil, &retry.Trace{
			Hedge: func(_ context.Context, n int) { hedges++; require.Equal(t, 2, n) },
		})})
		work, causes := lanes(lane{time.Second, 1, nil, false}, lane{time.Hour, 2, nil, false})
		v, err := retry.Hedge(t.Context(), h, work)
		require.NoError(t, err)
		require.Equal(t, 1, v)
		require.Equal(t, 1, hedges)
		require.NoError(t, causes[0])
		require.Equal(t, 0.5, b.Level(), "spent one, and the success brought a half")
	})
}

func TestHedgeDepth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHedger(t, retry.HedgeOptions[int]{})
		var most atomic.Int64
		calls := 0
		err := retry.Do(t.Context(), nil, func(ctx context.Context) error {
			var here atomic.Int64
			_, err := retry.Hedge(ctx, h, func(ctx context.Context) (int, error) {
				if here.Add(1) == 2 {
					most.Add(1)
					require.Equal(t, 1, retry.Depth(ctx))
				}
				time.Sleep(time.Second)
				return 0, errDown
			})
			calls++
			return err
		})
		require.ErrorIs(t, err, errDown)
		require.Equal(t, 3, calls)
		require.EqualValues(t, 1, most.Load(), "only the first attempt is hedged")
	})
}

// The winner's context ends with the call, unless somebody keeps it.
func TestHedgeKeep(t *testing.T) {
	for _, winner := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			var contexts [3]context.Context
			var release context.CancelFunc
			work := func(ctx context.Context) (int, error) {
				n := retry.Depth(ctx) + 1
				contexts[n] = ctx
				if n != winner {
					<-ctx.Done()
					return 0, ctx.Err()
				}
				time.Sleep(150 * time.Millisecond)
				return n, nil
			}
			keep := func(v int, r context.CancelFunc) int { release = r; return v * 10 }
			v, err := retry.Hedge(t.Context(), newHedger(t, retry.HedgeOptions[int]{Keep: keep}), work)
			require.NoError(t, err)
			require.Equal(t, winner*10, v)
			require.NoError(t, contexts[winner].Err())
			require.Error(t, contexts[3-winner].Err())
			release()
			require.Error(t, contexts[winner].Err())

			_, err = retry.Hedge(t.Context(), newHedger(t, retry.HedgeOptions[int]{}), work)
			require.NoError(t, err)
			require.Error(t, contexts[winner].Err())
		})
	}
}

func TestHedgePanics(t *testing.T) {
	for name, n := range map[string]int{"first": 1, "hedge": 2} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // no goroutine is left
				closed := 0
				h := newHedger(t, retry.HedgeOptions[int]{Close: func(int) { closed++ }})
				require.PanicsWithValue(t, "p", func() {
					_, _ = retry.Hedge(t.Context(), h, func(ctx context.Context) (int, error) {
						if retry.Depth(ctx)+1 == n {
							time.Sleep(200 * time.Millisecond)
							panic("p")
						}
						<-ctx.Done()
						return 7, nil // a result that nobody gets
					})
				})
				require.Equal(t, 1, closed)
			})
		})
	}
}

func TestHedgeGoexit(t *testing.T) {
	for _, n := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			h := newHedger(t, retry.HedgeOptions[int]{})
			done, returned := make(chan struct{}), false
			go func() {
				defer close(done)
				_, _ = retry.Hedge(t.Context(), h, func(ctx context.Context) (int, error) {
					if retry.Depth(ctx)+1 == n {
						time.Sleep(200 * time.Millisecond)
						runtime.Goexit()
					}
					<-ctx.Done()
					return 0, ctx.Err()
				})
				returned = true
			}()
			<-done
			require.False(t, returned)
		})
	}
}

func TestHedgeOfCancelledCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		work, _ := lanes(lane{time.Hour, 1, nil, false}, lane{time.Hour, 2, nil, false})
		start := time.Now()
		_, err := retry.Hedge(ctx, newHedger(t, retry.HedgeOptions[int]{}), work)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start))
	})
}

func TestHedgeQuantile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHedger(t, retry.HedgeOptions[int]{Quantile: 0.9, Delay: time.Minute})
		require.Equal(t, time.Minute, h.Delay(), "nothing is known")
		for i := range 320 {
			work, _ := lanes(lane{time.Duration(i%10+1) * 10 * time.Millisecond, 1, nil, false}, lane{time.Hour, 2, nil, false})
			_, err := retry.Hedge(t.Context(), h, work)
			require.NoError(t, err)
		}
		require.InDelta(t, 90, h.Delay().Milliseconds(), 13)
		work, _ := lanes(lane{time.Hour, 1, nil, false}, lane{10 * time.Millisecond, 2, nil, false})
		start := time.Now()
		v, err := retry.Hedge(t.Context(), h, work)
		require.NoError(t, err)
		require.Equal(t, 2, v)
		require.Less(t, time.Since(start), 120*time.Millisecond)
	})
}

// Attempts that end and begin at the same instant leave nothing running, whoever comes first.
func TestHedgeRaces(t *testing.T) {
	for i := range 300 {
		synctest.Test(t, func(t *testing.T) {
			var closed, succeeded atomic.Int64
			h := newHedger(t, retry.HedgeOptions[int]{Delay: time.Millisecond, Max: 4, Close: func(int) { closed.Add(1) }})
			var n atomic.Int64
			_, err := retry.Hedge(t.Context(), h, func(context.Context) (int, error) {
				k := n.Add(1)
				time.Sleep(time.Duration(i%4) * time.Millisecond)
				if (k+int64(i))%3 == 0 {
					return 0, errDown
				}
				succeeded.Add(1)
				return 1, nil
			})
			if err == nil {
				closed.Add(1)
			}
			require.Equal(t, succeeded.Load(), closed.Load(), "each result is returned or closed")
		})
	}
}

func TestHedgeAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	h := newHedger(t, retry.HedgeOptions[int]{Delay: time.Hour})
	ctx := t.Context()
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() {
		_, _ = retry.Hedge(ctx, h, func(context.Context) (int, error) { return 1, nil })
	}), 5.)
}

// No attempt begins once the context has ended, however long the first takes to notice.
func TestHedgeAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
		defer cancel()
		h, err := retry.NewHedger(&retry.HedgeOptions[int]{Max: 5})
		require.NoError(t, err)
		var calls atomic.Int64
		_, err = retry.Hedge(ctx, h, func(context.Context) (int, error) {
			calls.Add(1)
			time.Sleep(time.Second) // deaf
			return 0, errDown
		})
		require.ErrorIs(t, err, errDown)
		require.EqualValues(t, 2, calls.Load())
	})
}

// Keep gets each result, also where nothing is hedged.
func TestKeepWithoutAHedge(t *testing.T) {
	h, err := retry.NewHedger(&retry.HedgeOptions[int]{Max: 1, Keep: func(v int, release context.CancelFunc) int {
		release()
		return v + 100
	}})
	require.NoError(t, err)
	v, err := retry.Hedge(t.Context(), h, func(context.Context) (int, error) { return 1, nil })
	require.NoError(t, err)
	require.Equal(t, 101, v)
}
