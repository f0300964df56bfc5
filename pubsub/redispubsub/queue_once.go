package redispubsub

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// once is a command that go-redis must not send again by itself when its answer is lost: what the first one took would be nobody's,
// and the second one would bring what comes after it.
type once struct{ redis.Cmder }

// NoRetry is asked by go-redis.
func (once) NoRetry() bool { return true }

// sendOnce sends the command that make puts into a pipeline, by itself.
func sendOnce[C redis.Cmder](ctx context.Context, rdb redis.UniversalClient, make func(redis.Pipeliner) C) C {
	p := rdb.Pipeline()
	cmd := make(p) // the one way to a command that tells go-redis for how long the server may wait
	p.Discard()
	rdb.Process(ctx, once{cmd}) // its error is the command's
	return cmd
}

// runOnce runs a script of a topic, whose lost answer would matter. It may outlast ctx.
func (q *Queue) runOnce(ctx context.Context, s *redis.Script, topic string, args ...any) (any, error) {
	args = append([]any{q.o.Partitions}, args...)
	keys := []string{q.queueKey(topic)}
	cmd := sendOnce(ctx, q.rdb, func(p redis.Pipeliner) *redis.Cmd { return p.EvalSha(ctx, s.Hash(), keys, args...) })
	if queueSays(cmd.Err(), "NOSCRIPT") && ctx.Err() == nil {
		cmd = sendOnce(ctx, q.rdb, func(p redis.Pipeliner) *redis.Cmd { return s.Eval(ctx, p, keys, args...) })
	}
	return cmd.Result()
}

// readGroup reads new messages of a stream.
func (q *Queue) readGroup(ctx context.Context, stream, group, consumer string, n int, block time.Duration) ([]redis.XStream, error) {
	return sendOnce(ctx, q.rdb, func(p redis.Pipeliner) *redis.XStreamSliceCmd {
		return p.XReadGroup(ctx, &redis.XReadGroupArgs{
			Group: group, Consumer: consumer, Streams: []string{stream, ">"}, Count: int64(n), Block: block,
		})
	}).Result()
}
