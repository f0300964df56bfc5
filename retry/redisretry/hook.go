package redisretry

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/concordkit/concord/retry"
)

// AddTo makes each command of rdb retry by a policy of o, judged by o.Classify first and by [ClassifySingle] where that is
// unsure. Pipelines, transactions and the commands that go-redis itself does not repeat are sent once: a pipeline is for a
// policy around it.
//
// Commands differ in whether they may be done twice, and go-redis does not know: with o.Unsafe only those are repeated that
// provably were not done, and every command may use rdb.
//
// A command returns what it would have returned, such as [redis.Nil], where its error is not worth another attempt, and else a
// *[retry.Error], in which [errors.Is] and [errors.As] find it. Of a client that repeats by itself, and of options that break
// their rules, AddTo returns an error that wraps [retry.ErrInvalid]. It is called before rdb is used.
func AddTo(rdb *redis.Client, o *retry.Options) error {
	if rdb == nil {
		return fmt.Errorf("redisretry: %w: nil client", retry.ErrInvalid)
	}
	if n := rdb.Options().MaxRetries; n != 0 { // go-redis makes 0 of -1
		return fmt.Errorf("redisretry: %w: MaxRetries %d: want -1, or the client repeats by itself", retry.ErrInvalid, n)
	}
	if o == nil {
		o = new(retry.Options)
	}
	judged := *o
	judged.Classify = retry.First(o.Classify, ClassifySingle)
	p, err := retry.New(&judged)
	if err != nil {
		return fmt.Errorf("redisretry: %w", err)
	}
	rdb.AddHook(hook{p})
	return nil
}

type hook struct{ p *retry.Policy }

// DialHook implements redis.Hook.
func (hook) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook implements redis.Hook.
func (hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// ProcessHook implements redis.Hook.
func (h hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.NoRetry() {
			return next(ctx, cmd)
		}
		return bare(h.p.Do(ctx, func(ctx context.Context) error { return next(ctx, cmd) }))
	}
}

// bare returns the error of the command where that is what ended the attempts: callers compare it with redis.Nil.
func bare(err error) error {
	e, ok := errors.AsType[*retry.Error](err)
	if ok && e.Last != nil && (e.Stop == retry.PermanentError || errors.Is(e.Last, redis.Nil)) {
		return e.Last
	}
	return err
}
