package invoice_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/examples/testing/invoice"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/fence"
	"github.com/concordkit/concord/lock/memlock"
	"github.com/concordkit/concord/lock/redislock"
)

const (
	ttl = 15 * time.Second
	// patience bounds every test. None should need it.
	patience = time.Minute
)

// Most tests of an application need no server: memlock keeps every promise that the other engines keep.
func TestInMemory(t *testing.T) {
	engine := memlock.New()
	testNumbers(t, func() lock.Backend { return engine })
}

// One test on the engine of production shows that the application is wired to it as it should be.
func TestOnRedis(t *testing.T) {
	rdb := startRedis(t)
	testNumbers(t, func() lock.Backend { return redislock.New(rdb, nil) })
}

// testNumbers has some processes write invoices at once. Each gets a Backend of its own from connect, as processes have.
func testNumbers(t *testing.T, connect func() lock.Backend) {
	const processes, invoices = 3, 10
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	book := new(memoryBook)
	errs := make(chan error, processes*invoices)
	var wg sync.WaitGroup
	for p := range processes {
		clerk := invoice.NewClerk(newLocker(t, connect()), book)
		for i := range invoices {
			wg.Go(func() {
				_, err := clerk.Issue(ctx, fmt.Sprintf("item %d of process %d", i, p))
				errs <- err
			})
		}
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	require.Len(t, book.numbers, processes*invoices)
	for i, number := range book.numbers {
		require.Equal(t, i+1, number, "numbers must have no gaps and no repetitions")
	}
}

// In a bubble of synctest time passes when all wait for it, so that what takes a TTL takes no time. Memlock does no I/O, and so
// may be in one.
func TestClerkStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine, book := memlock.New(), new(memoryBook)
		clerk := invoice.NewClerk(newLocker(t, engine), book)
		late := holdUnrenewed(t, engine, "invoices")

		start := time.Now()
		number, err := clerk.Issue(t.Context(), "one item")
		require.NoError(t, err)
		require.Equal(t, 1, number)
		require.Equal(t, ttl, time.Since(start), "others must go on when the TTL of a clerk that stopped has passed")
		require.ErrorIs(t, book.Write(t.Context(), 1, "another item", late), fence.ErrStale,
			"what it writes when it comes back must be refused")
	})
}

// holdUnrenewed takes a lock as a process does that then stops, for ever or for a while: nobody renews a claim that is made at
// the Backend itself.
func holdUnrenewed(t *testing.T, engine lock.Backend, name string) lock.Token {
	t.Helper()
	state, err := engine.Acquire(t.Context(), lock.Claim{
		Name: name, ID: rand.Text(), Weight: lock.All, Capacity: lock.All, TTL: ttl,
	}, func(lock.State) {})
	require.NoError(t, err)
	require.Equal(t, lock.Held, state.Phase)
	return state.Token
}

// newLocker returns what a process of its own would have.
func newLocker(t *testing.T, engine lock.Backend) *lock.Locker {
	t.Helper()
	locks := lock.New(engine, &lock.Options{TTL: ttl})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, locks.Close(ctx))
	})
	return locks
}
