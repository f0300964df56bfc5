package engines

import (
	"cmp"
	"context"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/etcdlock"
)

// dialTimeout bounds the first question to an etcd; its client would wait for a server that is not there.
const dialTimeout = 3 * time.Second

func openEtcd(ctx context.Context, addr string) (Engine, error) {
	addr = cmp.Or(addr, "localhost:2379")
	cli, err := clientv3.New(clientv3.Config{Endpoints: []string{addr}})
	if err != nil {
		return Engine{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if _, err := cli.Status(ctx, addr); err != nil {
		cli.Close()
		return Engine{}, fmt.Errorf("etcd at %s: %w", addr, err)
	}
	options := &etcdlock.Options{Prefix: "example/lock/", Dirs: "example/dir/"}
	return Engine{
		Connect: func() lock.Backend { return etcdlock.New(cli, options) },
		TTL:     wholeTTL,
		Client:  cli,
		Close:   func() { cli.Close() },
	}, nil
}
