package budgettest_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/retry"
	"github.com/concordkit/concord/retry/budgettest"
	"github.com/concordkit/concord/retry/membudget"
)

func TestCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := membudget.New()
		require.NoError(t, budgettest.Check(t.Context(), func() retry.Pool { return p }))
	})
}

// wrong is a pool whose methods may be replaced.
type wrong struct {
	retry.Pool
	take func(ctx context.Context, b retry.Bucket, n int) (int, error)
	give func(ctx context.Context, b retry.Bucket, n int) error
}

func (w wrong) Take(ctx context.Context, b retry.Bucket, n int) (int, error) {
	if w.take == nil {
		return w.Pool.Take(ctx, b, n)
	}
	return w.take(ctx, b, n)
}

func (w wrong) Give(ctx context.Context, b retry.Bucket, n int) error {
	if w.give == nil {
		return w.Pool.Give(ctx, b, n)
	}
	return w.give(ctx, b, n)
}

// Each way to be wrong must be found: a suite that finds nothing is of no use.
func TestControls(t *testing.T) {
	for name, c := range map[string]struct {
		broken string // a promise that must be among the broken ones
		pool   func(p *membudget.Pool) wrong
	}{
		"overspends": {"shared budgets never overspend", func(p *membudget.Pool) wrong {
			var taken atomic.Int64
			return wrong{take: func(ctx context.Context, b retry.Bucket, n int) (int, error) {
				if taken.Add(1)%5 == 0 {
					return n, nil // not deducted
				}
				return p.Take(ctx, b, n)
			}}
		}},
		"deducts late": {"processes together take what there is", func(p *membudget.Pool) wrong {
			return wrong{take: func(ctx context.Context, b retry.Bucket, n int) (int, error) {
				got, err := p.Take(ctx, b, n)
				if err == nil && got > 0 {
					err = p.Give(ctx, b, got)
					time.Sleep(time.Millisecond)
					_, _ = p.Take(ctx, b, got)
				}
				return got, err
			}}
		}},
		"grants all or nothing": {"no more is taken than there is", func(p *membudget.Pool) wrong {
			return wrong{take: func(ctx context.Context, b retry.Bucket, n int) (int, error) {
				got, err := p.Take(ctx, b, n)
				if err == nil && got > 0 && got < n {
					return 0, p.Give(ctx, b, got)
				}
				return got, err
			}}
		}},
		"one bucket": {"buckets are told apart", func(p *membudget.Pool) wrong {
			return wrong{take: func(ctx context.Context, b retry.Bucket, n int) (int, error) {
				b.Name = b.Name[:10]
				return p.Take(ctx, b, n)
			}}
		}},
		"keeps what is given": {"what is given back is there again", func(p *membudget.Pool) wrong {
			return wrong{give: func(ctx context.Context, _ retry.Bucket, _ int) error { return ctx.Err() }}
		}},
		"overflows": {"a bucket never holds more than its size", func(p *membudget.Pool) wrong {
			return wrong{
				take: func(ctx context.Context, b retry.Bucket, n int) (int, error) {
					b.Max *= 2
					return p.Take(ctx, b, n)
				},
				give: func(ctx context.Context, b retry.Bucket, n int) error {
					b.Max *= 2
					return p.Give(ctx, b, n)
				},
			}
		}},
		"fills too fast": {"a bucket fills with time", func(p *membudget.Pool) wrong {
			return wrong{take: func(ctx context.Context, b retry.Bucket, n int) (int, error) {
				b.PerSecond *= 2
				return p.Take(ctx, b, n)
			}}
		}},
		"fills not": {"a bucket fills with time", func(p *membudget.Pool) wrong {
			return wrong{take: func(ctx context.Context, b retry.Bucket, n int) (int, error) {
				b.PerSecond = 0
				return p.Take(ctx, b, n)
			}}
		}},
		"fills by itself": {"a bucket without a rate does not fill", func(p *membudget.Pool) wrong {
			return wrong{take: func(ctx context.Context, b retry.Bucket, n int) (int, error) {
				b.PerSecond = max(1, b.PerSecond)
				return p.Take(ctx, b, n)
			}}
		}},
		"begins empty": {"a new bucket is full", func(p *membudget.Pool) wrong {
			return wrong{take: func(context.Context, retry.Bucket, int) (int, error) { return 0, nil }}
		}},
		"ignores contexts": {"an ended context takes nothing", func(p *membudget.Pool) wrong {
			return wrong{take: func(ctx context.Context, b retry.Bucket, n int) (int, error) {
				return p.Take(context.WithoutCancel(ctx), b, n)
			}}
		}},
		"revives the dead": {"what a dead process holds is lost", func(p *membudget.Pool) wrong {
			return wrong{take: func(ctx context.Context, b retry.Bucket, n int) (int, error) {
				got, err := p.Take(ctx, b, n)
				if got == 6 {
					err = p.Give(ctx, b, 6)
				}
				return got, err
			}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := membudget.New()
				w := c.pool(p)
				w.Pool = p
				err := budgettest.Check(t.Context(), func() retry.Pool { return w })
				require.ErrorContains(t, err, "budgettest: "+c.broken)
			})
		})
	}
}
