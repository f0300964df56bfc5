package etcdserver

import (
	"context"
	"errors"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
)

const settleTime = 60 * time.Second // for members to agree; it takes about a second

// Leader waits until a majority follows one leader and returns that. Members that are stopped or isolated do not count.
func (c *Cluster) Leader(t testing.TB) int {
	t.Helper()
	leader := -1
	eventually(t, "a majority must follow one leader", func() bool {
		leader = c.leader()
		return leader >= 0
	})
	return leader
}

// leader returns -1 if there is none.
func (c *Cluster) leader() int {
	followers := map[types.ID]int{}
	for _, m := range c.members {
		if s := m.reachable(); s != nil {
			followers[s.Leader()]++
		}
	}
	for i, m := range c.members {
		if s := m.reachable(); s != nil && followers[s.MemberID()] > len(c.members)/2 {
			return i
		}
	}
	return -1
}

// Compact drops all revisions before the current one, so that watches from there on are refused.
func (c *Cluster) Compact(t testing.TB) {
	t.Helper()
	eventually(t, "the leader must compact", func() bool {
		s := c.members[c.Leader(t)].reachable()
		return s != nil && compact(t.Context(), s) == nil
	})
}

func compact(ctx context.Context, s *etcdserver.EtcdServer) error {
	_, err := s.Compact(ctx, &pb.CompactionRequest{Revision: s.KV().Rev(), Physical: true})
	if errors.Is(err, mvcc.ErrCompacted) {
		return nil
	}
	return err
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for start := time.Now(); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Since(start) > settleTime {
			t.Fatalf("etcdserver: %s", what)
		}
	}
}
