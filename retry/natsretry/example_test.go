package natsretry_test

import (
	"context"
	"fmt"
	"log"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/concordkit/concord/retry"
	"github.com/concordkit/concord/retry/natsretry"
)

func ExampleClassify() {
	p, err := retry.New(&retry.Options{Classify: natsretry.Classify})
	if err != nil {
		log.Fatal(err)
	}
	err = p.Do(context.Background(), func(context.Context) error { return jetstream.ErrKeyNotFound })
	fmt.Println(err)
	// Output: retry: gave up after 1 attempt (permanent, key not found): nats: key not found
}
