package etcdlock

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concordkit/concord/lock"
)

// Watch implements lock.Backend. It reads the directory at every interval, since only an answer tells that nothing was
// missed, and follows what changes in between.
func (b *Backend) Watch(ctx context.Context, dir string, interval time.Duration, emit func([]lock.Holder)) error {
	if b.err != nil {
		return b.err
	}
	ctx = clientv3.WithRequireLeader(ctx)
	d := b.directory(dir)
	var changes <-chan clientv3.WatchResponse // nil while nothing is followed
	stop := func() {}
	defer func() { stop() }()
	pause, timer := minPause, time.NewTimer(0)
	defer timer.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case r := <-changes:
			if r.Err() != nil { // compacted, no leader: read again
				stop()
				changes = nil
				timer.Reset(pause)
				pause = min(2*pause, maxPause)
				continue
			}
			err = d.apply(r.Events)
		case <-timer.C:
			if err = d.read(ctx, interval); passes(err) {
				timer.Reset(interval / 4)
				continue
			}
			timer.Reset(interval)
			if changes == nil && err == nil {
				changes, stop = d.follow()
			} else {
				pause = minPause // it has lasted
			}
		}
		if err != nil {
			return fail("watch", lock.Claim{Dir: dir}, err)
		}
		emit(d.holders())
	}
}
