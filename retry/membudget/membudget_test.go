package membudget_test

import (
	"context"
	"fmt"
	"log"
	"testing"
	"testing/synctest"

	"github.com/concordkit/concord/retry"
	"github.com/concordkit/concord/retry/budgettest"
	"github.com/concordkit/concord/retry/membudget"
)

func TestConformance(t *testing.T) {
	budgettest.Run(t, func(*testing.T) func() retry.Pool {
		p := membudget.New()
		return func() retry.Pool { return p }
	}, &budgettest.Options{Bubble: synctest.Test})
}

func ExampleNew() {
	p := membudget.New()
	b := retry.Bucket{Name: "billing", Max: 100}
	n, err := p.Take(context.Background(), b, 80)
	if err != nil {
		log.Fatal(err)
	}
	rest, err := p.Take(context.Background(), b, 80)
	fmt.Println(n, rest, err)
	// Output: 80 20 <nil>
}
