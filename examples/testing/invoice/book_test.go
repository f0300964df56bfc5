package invoice_test

import (
	"context"
	"runtime"
	"sync"

	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/fence"
)

// memoryBook trusts its clerks to take turns, as a table without a unique index does.
type memoryBook struct {
	guard   fence.Guard
	mu      sync.Mutex
	numbers []int
}

// Last implements invoice.Book.
func (b *memoryBook) Last(context.Context) (int, error) {
	b.mu.Lock()
	last := 0
	if n := len(b.numbers); n > 0 {
		last = b.numbers[n-1]
	}
	b.mu.Unlock()
	runtime.Gosched() // lets others read the same number, if nothing keeps them out
	return last, nil
}

// Write implements invoice.Book.
func (b *memoryBook) Write(_ context.Context, number int, _ string, token lock.Token) error {
	return b.guard.Do("book", token, func() error {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.numbers = append(b.numbers, number)
		return nil
	})
}
