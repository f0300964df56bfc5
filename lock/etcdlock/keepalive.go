package etcdlock

import (
	"context"
	"errors"
	"io"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// keepAlive extends an etcd lease once and returns the term of the member that answered. Unlike the client's
// KeepAliveOnce it does not try again without a pause while there is no server.
func (b *Backend) keepAlive(ctx context.Context, id clientv3.LeaseID) (term uint64, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop() // ends the stream
	stream, err := pb.NewLeaseClient(b.cli.ActiveConnection()).LeaseKeepAlive(ctx)
	if err != nil {
		return 0, clientv3.ContextError(ctx, err)
	}
	// The error of a stream that is down comes from Recv.
	if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: int64(id)}); err != nil && !errors.Is(err, io.EOF) {
		return 0, clientv3.ContextError(ctx, err)
	}
	r, err := stream.Recv()
	switch {
	case err != nil:
		return 0, clientv3.ContextError(ctx, err)
	case r.TTL <= 0:
		return 0, rpctypes.ErrLeaseNotFound
	}
	return r.Header.RaftTerm, nil
}
