package locks

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

func openEtcd(ctx context.Context, addr string) (engine, error) {
	addr = cmp.Or(addr, "localhost:2379")
	cli, err := clientv3.New(clientv3.Config{Endpoints: []string{addr}})
	if err != nil {
		return engine{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if _, err := cli.Status(ctx, addr); err != nil {
		cli.Close()
		return engine{}, fmt.Errorf("etcd at %s: %w", addr, err)
	}
	options := &etcdlock.Options{Prefix: "example/lock/", Dirs: "example/dir/"}
	return engine{
		commands: "a create in a transaction, and a delete",
		store:    onEtcd{cli},
		connect:  func() lock.Backend { return etcdlock.New(cli, options) },
		ttl:      wholeTTL,
		close:    func() { cli.Close() },
	}, nil
}

type onEtcd struct{ cli *clientv3.Client }

// SetNX leaves a lease behind when the key is there; it runs out by itself.
func (e onEtcd) SetNX(ctx context.Context, key, owner string) (bool, error) {
	lease, err := e.cli.Grant(ctx, int64(wholeTTL/time.Second))
	if err != nil {
		return false, err
	}
	r, err := e.cli.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
		Then(clientv3.OpPut(key, owner, clientv3.WithLease(lease.ID))).
		Commit()
	return err == nil && r.Succeeded, err
}

func (e onEtcd) Del(ctx context.Context, key string) error {
	_, err := e.cli.Delete(ctx, key)
	return err
}
