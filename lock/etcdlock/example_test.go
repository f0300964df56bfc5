package etcdlock_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/etcdlock"
	"github.com/concordkit/concord/lock/fence"
)

func connect() *clientv3.Client {
	cli, err := clientv3.New(clientv3.Config{Endpoints: []string{"localhost:2379"}})
	if err != nil {
		log.Fatal(err)
	}
	return cli
}

func ExampleNew() {
	ctx := context.Background()
	cli := connect()
	defer cli.Close()
	locks := lock.New(etcdlock.New(cli, nil), nil)
	defer locks.Close(ctx)
	lease, err := locks.Acquire(ctx, "invoice-42")
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Release()
	fmt.Println("alone until", lease.Expires())
}

func ExampleBackend_Owner() {
	ctx := context.Background()
	cli := connect()
	defer cli.Close()
	backend := etcdlock.New(cli, nil)
	locks := lock.New(backend, nil)
	err := locks.Do(ctx, "account-7", func(ctx context.Context, lease *lock.Lease) error {
		r, err := cli.Txn(ctx).
			If(backend.Owner(lease.Claim(), lease.Token())).
			Then(clientv3.OpPut("balance/7", "100")).
			Commit()
		if err == nil && !r.Succeeded {
			err = lock.ErrLost
		}
		return err
	})
	fmt.Println(err)
}

func ExampleNewFence() {
	ctx := context.Background()
	cli := connect()
	defer cli.Close()
	locks := lock.New(etcdlock.New(cli, nil), nil)
	balances := etcdlock.NewFence(cli)
	err := locks.Do(ctx, "account-7", func(ctx context.Context, lease *lock.Lease) error {
		return balances.Put(ctx, "balance/7", "100", lease.Token())
	})
	if errors.Is(err, fence.ErrStale) {
		fmt.Println("a later holder has written already")
	}
}
