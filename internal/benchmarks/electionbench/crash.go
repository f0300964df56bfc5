package electionbench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.etcd.io/etcd/client/v3/concurrency"
	"golang.org/x/sync/errgroup"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
	"github.com/concordkit/concord/lock"
)

const (
	crashes = 16
	// apart is the time between two crashes: a little more than the 500 ms after which etcd looks for dead leases again, so that
	// no two fall into the same interval, and each falls into another part of it.
	apart = 550 * time.Millisecond

	redisCrashTTL = 500 * time.Millisecond
	// crashTTL is the least that etcd grants.
	crashTTL = 2 * time.Second
)

// mortal is a side of which leaders crash.
type mortal struct {
	name string
	heir candidate
	// lead takes the lead of an election that nobody leads, never renews that, and is heard of no more.
	lead  func(ctx context.Context, election string) error
	close func()
}

// crash measures how long after a leader has crashed another one leads.
func crash(ctx context.Context, s *servers) ([]ratio.Row, error) {
	redis, err := crashesOf(ctx, redisCrashTTL, s.onRedis())
	if err != nil {
		return nil, err
	}
	etcd, err := s.crashesOnEtcd(ctx)
	if err != nil {
		return nil, err
	}
	nats, err := crashesOf(ctx, crashTTL, s.onNATS())
	if err != nil {
		return nil, err
	}
	ratios := make([]float64, crashes)
	for i := range ratios {
		ratios[i] = etcd[0][i] / etcd[1][i]
	}
	const beyond = ": crash to new leader, less what was left of the lease"
	onRedis := ratio.Median(redis)
	return []ratio.Row{
		{
			Goal: "Redis" + beyond, Ours: millis(onRedis), Value: onRedis / 1e6, Target: ratio.AtMost(20, "ms"),
			Note: fmt.Sprintf("median of %d, TTL %v", crashes, redisCrashTTL),
		},
		{
			Goal: "etcd" + beyond, Ours: millis(ratio.Median(etcd[0])), Peer: etcdElection + " " + millis(ratio.Median(etcd[1])),
			Value: ratio.Median(ratios), Target: ratio.AtMost(1, ratio.Times),
			Note: fmt.Sprintf("median of %d pairs that crash at once, TTL %v", crashes, crashTTL),
		},
		{
			Goal: "NATS" + beyond, Ours: millis(ratio.Median(nats)), Note: fmt.Sprintf("median of %d, TTL %v", crashes, crashTTL),
		},
	}, nil
}

// crashesOf lets leaders of ours crash on e.
func crashesOf(ctx context.Context, ttl time.Duration, e engine) ([]float64, error) {
	m, err := mortalOn(ctx, e, ttl)
	if err != nil {
		return nil, err
	}
	defer m.close()
	all, err := failOvers(ctx, ttl, m)
	return all[0], err
}

func (s *servers) crashesOnEtcd(ctx context.Context) ([][]float64, error) {
	ours, err := mortalOn(ctx, s.onEtcd(), crashTTL)
	if err != nil {
		return nil, err
	}
	defer ours.close()
	peer, err := s.mortalStock(ctx, crashTTL)
	if err != nil {
		return nil, err
	}
	defer peer.close()
	return failOvers(ctx, crashTTL, ours, peer)
}

// failOvers lets a leader of each of ms crash at the same time, again and again, and returns how late another one led. One
// candidate of each waits.
func failOvers(ctx context.Context, ttl time.Duration, ms ...mortal) ([][]float64, error) {
	all := make([][]float64, len(ms))
	for j := range ms {
		all[j] = make([]float64, crashes)
	}
	var g errgroup.Group
	for i := range crashes {
		at := time.Now()
		for k := range ms {
			j := (i + k) % len(ms) // no side is always the first in a queue of the server
			g.Go(func() (err error) {
				all[j][i], err = ms[j].crash(ctx, fmt.Sprint("crash", i), ttl)
				return err
			})
		}
		if err := sleep(ctx, time.Until(at.Add(apart))); err != nil {
			break
		}
	}
	return all, errors.Join(g.Wait(), ctx.Err())
}

// crash counts from the earliest instant at which the lease can have ended, TTL after it was asked for.
func (m mortal) crash(ctx context.Context, election string, ttl time.Duration) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	end := time.Now().Add(ttl)
	if err := m.lead(ctx, election); err != nil {
		return 0, fmt.Errorf("%s: %w", m.name, err)
	}
	resign, err := m.heir.campaign(ctx, election)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", m.name, err)
	}
	late := time.Since(end)
	return float64(late), resign()
}

// mortalOn makes leaders of ours, each a claim that a backend of its own made and nobody renews.
func mortalOn(ctx context.Context, e engine, crashTTL time.Duration) (mortal, error) {
	side := concord(e)
	heir, err := side.open(ctx, "heir", ttl)
	if err != nil {
		return mortal{}, err
	}
	closers := []func(){heir.close}
	m := mortal{name: side.name, heir: heir, close: func() {
		for _, c := range closers {
			c()
		}
	}}
	dying := make(chan lock.Backend, crashes)
	for range crashes {
		b, closed, err := e.open(ctx)
		if err == nil {
			closers = append(closers, closed)
			_, err = b.Info(ctx) // connects
		}
		if err != nil {
			m.close()
			return mortal{}, err
		}
		dying <- b
	}
	m.lead = func(ctx context.Context, election string) error {
		return hold(ctx, <-dying, lock.Claim{Dir: election, TTL: crashTTL})
	}
	return m, nil
}

// hold acquires what is free for a holder that is heard of no more.
func hold(ctx context.Context, b lock.Backend, c lock.Claim) error {
	c.ID = fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64())
	c.Weight, c.Capacity, c.NoWait = lock.All, lock.All, true
	st, err := b.Acquire(ctx, c, func(lock.State) {})
	if err == nil && st.Phase != lock.Held {
		err = fmt.Errorf("%q of %q was not free", c.Name, c.Dir)
	}
	return err
}

// mortalStock makes leaders of the peer, each a session whose keep-alives stop.
func (s *servers) mortalStock(ctx context.Context, crashTTL time.Duration) (mortal, error) {
	side := s.stock()
	heir, err := side.open(ctx, "heir", ttl)
	if err != nil {
		return mortal{}, err
	}
	cli, err := s.etcd.Client(nil)
	if err == nil {
		_, err = cli.Get(ctx, "connects")
	}
	if err != nil {
		heir.close()
		return mortal{}, err
	}
	return mortal{
		name: side.name, heir: heir,
		lead: func(ctx context.Context, election string) error {
			session, err := concurrency.NewSession(cli, concurrency.WithTTL(int(crashTTL.Seconds())))
			if err != nil {
				return err
			}
			defer session.Orphan()
			return concurrency.NewElection(session, stockPrefix+election).Campaign(ctx, "dying")
		},
		close: func() { heir.close(); cli.Close() },
	}, nil
}
