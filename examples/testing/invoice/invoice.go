// Package invoice is a small application, here for the sake of its tests: it numbers invoices without gaps or repetitions,
// from any number of processes.
package invoice

import (
	"context"

	"github.com/concordkit/concord/lock"
)

// Book is where invoices are written: a database, in an application that is not an example.
type Book interface {
	// Last returns the highest number in the book, 0 when it is empty.
	Last(ctx context.Context) (int, error)
	// Write adds an invoice, and refuses a token below one that it has seen.
	Write(ctx context.Context, number int, text string, token lock.Token) error
}

// Clerk writes invoices into a book, one clerk at a time.
type Clerk struct {
	locks *lock.Locker
	book  Book
}

// NewClerk returns a Clerk. All clerks of a book need lockers on the same engine.
func NewClerk(locks *lock.Locker, book Book) *Clerk {
	return &Clerk{locks: locks, book: book}
}

// Issue writes an invoice under the next number, and returns that. After an error the invoice may be in the book or not.
func (c *Clerk) Issue(ctx context.Context, text string) (number int, err error) {
	err = c.locks.Do(ctx, "invoices", func(ctx context.Context, lease *lock.Lease) error {
		last, err := c.book.Last(ctx)
		if err != nil {
			return err
		}
		number = last + 1
		return c.book.Write(ctx, number, text, lease.Token())
	})
	return number, err
}
