package etcdretry_test

import (
	"context"
	"fmt"
	"log"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concordkit/concord/retry"
	"github.com/concordkit/concord/retry/etcdretry"
)

func ExampleClassify() {
	p, err := retry.New(&retry.Options{Classify: etcdretry.Classify})
	if err != nil {
		log.Fatal(err)
	}
	err = p.Do(context.Background(), func(context.Context) error { return rpctypes.ErrPermissionDenied })
	fmt.Println(err)
	// Output: retry: gave up after 1 attempt (permanent, PermissionDenied): etcdserver: permission denied
}

func ExampleClassify_oneAttempt() {
	cli, err := clientv3.New(clientv3.Config{Endpoints: []string{"localhost:2379"}, MaxUnaryRetries: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer cli.Close()
	p, err := retry.New(&retry.Options{Classify: etcdretry.Classify, Unsafe: true})
	if err != nil {
		log.Fatal(err)
	}
	err = p.Do(context.Background(), func(ctx context.Context) error {
		_, err := cli.Put(ctx, "key", "value")
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
}
