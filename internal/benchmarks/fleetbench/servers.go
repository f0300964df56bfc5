package fleetbench

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/concordkit/concord/internal/benchmarks/embedded"
	"github.com/concordkit/concord/internal/benchmarks/redisproc"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/etcdlock"
	"github.com/concordkit/concord/lock/natslock"
	"github.com/concordkit/concord/lock/redislock"
)

// servers are one of each kind.
type servers struct {
	redis *redisproc.Server
	etcd  *embedded.Etcd
	nats  *embedded.NATS
}

func start(ctx context.Context) (s *servers, err error) {
	s = new(servers)
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	if s.redis, err = redisproc.Start(ctx); err != nil {
		return nil, err
	}
	if s.etcd, err = embedded.StartEtcd(); err != nil {
		return nil, err
	}
	if s.nats, err = embedded.StartNATS(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *servers) stop() {
	if s.redis != nil {
		s.redis.Stop()
	}
	if s.etcd != nil {
		s.etcd.Stop()
	}
	if s.nats != nil {
		s.nats.Stop()
	}
}

// engine makes backends, each on a client of its own that the returned func closes.
type engine struct {
	name string
	open func(context.Context) (lock.Backend, func(), error)
}

func (s *servers) onRedis() engine {
	return engine{"Redis", func(context.Context) (lock.Backend, func(), error) {
		rdb := s.redis.Client()
		return redislock.New(rdb, nil), func() { rdb.Close() }, nil
	}}
}

func (s *servers) onEtcd() engine {
	return engine{"etcd", func(context.Context) (lock.Backend, func(), error) {
		cli, err := s.etcd.Client(nil)
		if err != nil {
			return nil, nil, err
		}
		return etcdlock.New(cli, nil), func() { cli.Close() }, nil
	}}
}

func (s *servers) onNATS() engine {
	return engine{"NATS", func(ctx context.Context) (lock.Backend, func(), error) {
		const bucket = "locks"
		nc, err := s.nats.Client()
		if err != nil {
			return nil, nil, err
		}
		js, err := jetstream.New(nc)
		if err == nil {
			_, err = js.CreateOrUpdateKeyValue(ctx, natslock.Config(bucket, 1))
		}
		if err != nil {
			nc.Close()
			return nil, nil, err
		}
		return natslock.New(js, bucket), nc.Close, nil
	}}
}
