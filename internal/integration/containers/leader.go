package containers

import (
	"context"
	"errors"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
)

var errNoLeader = errors.New("no leader yet")

// Leader returns the member that leads all that are not isolated, and waits for an election to end.
func (e *Etcd) Leader(t testing.TB) int {
	t.Helper()
	c, err := e.dial(nil)
	must(t, err)
	defer c.Close()
	leader := 0
	await(t, "the members of etcd must agree on a leader", func(ctx context.Context) (err error) {
		leader, err = e.leader(ctx, c)
		return err
	})
	return leader
}

func (e *Etcd) leader(ctx context.Context, c *clientv3.Client) (int, error) {
	index, named := map[uint64]int{}, map[uint64]bool{}
	for i, m := range e.Members {
		if e.cut[i] {
			continue
		}
		s, err := c.Status(ctx, m.addr)
		if err != nil {
			return 0, err
		}
		index[s.Header.MemberId], named[s.Leader] = i, true
	}
	for id := range named {
		if i, ok := index[id]; ok && len(named) == 1 {
			return i, nil
		}
	}
	return 0, errNoLeader
}
