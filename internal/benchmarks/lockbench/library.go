package lockbench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	bsm "github.com/bsm/redislock"
	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
	"github.com/redis/rueidis/rueidislock"

	"github.com/concordkit/concord/internal/benchmarks/redisproc"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/redislock"
)

// closeTimeout is how long leases may take to be released at the end of a scenario.
const closeTimeout = 10 * time.Second

// process is a process that locks, simulated by a client of its own.
type process struct {
	acquire func(ctx context.Context, name string) (release func() error, err error)
	close   func()
}

// library makes processes that lock with one library.
type library struct {
	name string
	open func(*redisproc.Server) (process, error)
}

var (
	concord    = library{"concord", openConcord}
	bsmLibrary = library{"bsm/redislock", openBSM}
	redsyncLib = library{"redsync", openRedsync}
	rueidisLib = library{"rueidislock", openRueidis}
)

func names(libs []library) []string {
	all := make([]string, len(libs))
	for i, l := range libs {
		all[i] = l.name
	}
	return all
}

// openAll makes n processes. The returned func closes them.
func (l library) openAll(s *redisproc.Server, n int) ([]process, func(), error) {
	ps := make([]process, 0, n)
	closeAll := func() {
		for _, p := range ps {
			p.close()
		}
	}
	for range n {
		p, err := l.open(s)
		if err != nil {
			closeAll()
			return nil, nil, fmt.Errorf("%s: %w", l.name, err)
		}
		ps = append(ps, p)
	}
	return ps, closeAll, nil
}

func openConcord(s *redisproc.Server) (process, error) {
	rdb := s.Client()
	return concordOn(rdb, &lock.Options{TTL: ttl}, func() { rdb.Close() }), nil
}

func concordOn(rdb *redis.Client, o *lock.Options, closed func()) process {
	return processOf(lock.New(redislock.New(rdb, nil), o), closed)
}

func processOf(locks *lock.Locker, closed func()) process {
	return process{
		acquire: func(ctx context.Context, name string) (func() error, error) {
			lease, err := locks.Acquire(ctx, name)
			if err != nil {
				return nil, err
			}
			return lease.Release, nil
		},
		close: func() {
			ctx, stop := context.WithTimeout(context.Background(), closeTimeout)
			defer stop()
			locks.Close(ctx) // what it could not release goes with the server
			closed()
		},
	}
}

// retry is the interval that bsm/redislock's documentation shows.
const retry = 100 * time.Millisecond

func openBSM(s *redisproc.Server) (process, error) {
	rdb := s.Client()
	locks := bsm.New(rdb)
	return process{
		acquire: func(ctx context.Context, name string) (func() error, error) {
			l, err := locks.Obtain(ctx, name, ttl, &bsm.Options{RetryStrategy: bsm.LinearBackoff(retry)})
			if err != nil {
				return nil, err
			}
			return func() error { return l.Release(ctx) }, nil
		},
		close: func() { rdb.Close() },
	}, nil
}

func openRedsync(s *redisproc.Server) (process, error) {
	rdb := s.Client()
	rs := redsync.New(goredis.NewPool(rdb))
	return process{
		acquire: func(ctx context.Context, name string) (func() error, error) {
			m := rs.NewMutex(name)
			if err := m.LockContext(ctx); err != nil {
				return nil, err
			}
			return func() error {
				if ok, err := m.UnlockContext(ctx); err != nil || !ok {
					return errors.Join(errors.New("not unlocked"), err)
				}
				return nil
			}, nil
		},
		close: func() { rdb.Close() },
	}, nil
}

// openRueidis uses one key instead of three and the tracking that rueidis recommends from Redis 7.0.5 on: its fastest.
func openRueidis(s *redisproc.Server) (process, error) {
	dial := func(ctx context.Context, addr string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
		return d.DialContext(ctx, "unix", addr)
	}
	locks, err := rueidislock.NewLocker(rueidislock.LockerOption{
		ClientOption:   rueidis.ClientOption{InitAddress: []string{s.Socket()}, DialCtxFn: dial},
		KeyValidity:    ttl,
		KeyMajority:    1,
		NoLoopTracking: true,
	})
	if err != nil {
		return process{}, err
	}
	return process{
		acquire: func(ctx context.Context, name string) (func() error, error) {
			_, release, err := locks.WithContext(ctx, name)
			return func() error { release(); return nil }, err
		},
		close: locks.Close,
	}, nil
}
