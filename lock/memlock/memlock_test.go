package memlock_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/locktest"
	"github.com/concordkit/concord/lock/memlock"
)

func TestConformance(t *testing.T) {
	locktest.Run(t, func(*testing.T) func() lock.Backend {
		b := memlock.New()
		return func() lock.Backend { return b }
	}, &locktest.Options{TTL: time.Minute, Bubble: synctest.Test})
}

func ExampleNew() {
	locks := lock.New(memlock.New(), nil)
	lease, err := locks.Acquire(context.Background(), "a")
	fmt.Println(lease.Token(), err)
	// Output: 1 <nil>
}
