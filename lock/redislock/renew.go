package redislock

import (
	"cmp"
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/concordkit/concord/lock"
)

// Renew implements lock.Backend.
func (b *Backend) Renew(ctx context.Context, cs []lock.Claim) ([]lock.State, error) {
	for _, c := range cs {
		if err := b.check(c); err != nil {
			return nil, err
		}
	}
	states := make([]lock.State, len(cs))
	var first error
	if b.min > 0 {
		first = b.renewReplicated(ctx, cs, states)
	} else {
		all := make([]int, len(cs))
		for i := range cs {
			all[i] = i
		}
		first = b.renew(ctx, b.rdb, cs, all, states, nil)
	}
	b.link.settle(cs, states)
	return states, first
}

// renew renews the claims cs[todo...] by one pipeline of rdb, to which more may be added. Where the server has lost the
// script it takes another one.
func (b *Backend) renew(ctx context.Context, rdb pipeliner, cs []lock.Claim, todo []int, states []lock.State,
	more func(redis.Pipeliner)) (first error) {
	for len(todo) > 0 {
		var missing []int
		cmds, _ := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, i := range todo {
				p.EvalSha(ctx, renew.Hash(), b.keys(cs[i]), b.args(cs[i], cs[i].TTL.Microseconds())...)
			}
			if more != nil {
				more(p)
			}
			return nil
		})
		for n, i := range todo {
			reply, err := cmds[n].(*redis.Cmd).Result()
			if redis.HasErrorPrefix(err, "NOSCRIPT") {
				missing = append(missing, i)
				continue
			}
			states[i], err = answer("renew", cs[i], reply, err)
			first = cmp.Or(first, err)
		}
		if todo = missing; len(todo) > 0 {
			// Running one loads the script; it is renewed once more with the others.
			i := todo[0]
			if err := renew.Run(ctx, rdb, b.keys(cs[i]), b.args(cs[i], cs[i].TTL.Microseconds())...).Err(); err != nil {
				return cmp.Or(first, fail("renew", cs[i], err))
			}
		}
	}
	return first
}

// pipeliner is what a client and a node of a cluster have in common.
type pipeliner interface {
	redis.Scripter
	Pipelined(ctx context.Context, fn func(redis.Pipeliner) error) ([]redis.Cmder, error)
}
