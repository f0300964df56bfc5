package redislock

import (
	"cmp"
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/concordkit/concord/lock"
)

// waits is how much of a TTL WAIT may take.
const waits = 6

// acquireReplicated acquires c and waits for the replicas on the same connection, which is what WAIT is about.
func (b *Backend) acquireReplicated(ctx context.Context, c lock.Claim, args []any) (lock.State, error) {
	node, err := b.node(ctx, c)
	if err != nil {
		return lock.State{}, fail("acquire", c, err)
	}
	for loaded := false; ; loaded = true {
		var eval *redis.Cmd
		var wait *redis.Cmd
		node.Pipelined(ctx, func(p redis.Pipeliner) error { // errors are the commands'
			eval = p.EvalSha(ctx, acquire.Hash(), b.keys(c), args...)
			wait = b.wait(ctx, p, c)
			return nil
		})
		reply, err := eval.Result()
		if redis.HasErrorPrefix(err, "NOSCRIPT") && !loaded {
			if err := acquire.Load(ctx, node).Err(); err != nil {
				return lock.State{}, fail("acquire", c, err)
			}
			continue
		}
		st, err := answer("acquire", c, reply, err)
		if err != nil || st.Phase != lock.Held {
			return st, err
		}
		return st, fail("acquire", c, b.replicated(wait))
	}
}

// renewReplicated renews by one pipeline for each node, with a WAIT at its end. Holders that too few replicas know are
// left as they were: what is not renewed ends.
func (b *Backend) renewReplicated(ctx context.Context, cs []lock.Claim, states []lock.State) (first error) {
	byNode := map[pipeliner][]int{}
	for i, c := range cs {
		node, err := b.node(ctx, c)
		if err != nil {
			first = cmp.Or(first, fail("renew", c, err))
			continue
		}
		byNode[node] = append(byNode[node], i)
	}
	for node, todo := range byNode {
		var wait *redis.Cmd
		err := b.renew(ctx, node, cs, todo, states, func(p redis.Pipeliner) { wait = b.wait(ctx, p, cs[todo[0]]) })
		first = cmp.Or(first, err)
		if short := b.replicated(wait); short != nil {
			first = cmp.Or(first, fail("renew", cs[todo[0]], short))
			for _, i := range todo {
				if states[i].Phase == lock.Held {
					states[i] = lock.State{}
				}
			}
		}
	}
	return first
}

// wait adds a WAIT for what the connection has written so far.
func (b *Backend) wait(ctx context.Context, p redis.Pipeliner, c lock.Claim) *redis.Cmd {
	return p.Do(ctx, "WAIT", b.min, (c.TTL / waits).Milliseconds())
}

// replicated reports what WAIT found.
func (b *Backend) replicated(wait *redis.Cmd) error {
	n, err := wait.Int64()
	if err == nil && n < int64(b.min) {
		err = fmt.Errorf("%w: %d of %d have the grant", ErrNotReplicated, n, b.min)
	}
	return err
}

// node returns the server of the claim's key.
func (b *Backend) node(ctx context.Context, c lock.Claim) (pipeliner, error) {
	if cluster, ok := b.rdb.(*redis.ClusterClient); ok {
		return cluster.MasterForKey(ctx, b.keys(c)[0])
	}
	return b.rdb, nil
}
