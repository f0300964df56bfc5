package locks

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

type onEtcd struct {
	cli *clientv3.Client
	ttl time.Duration
}

// SetNX leaves a lease behind when the key is there; it runs out by itself.
func (e onEtcd) SetNX(ctx context.Context, key, owner string) (bool, error) {
	lease, err := e.cli.Grant(ctx, int64(e.ttl/time.Second))
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
