package lockbench

import (
	"context"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// pipes is a hook that counts the pipelines of scripts. Those in which go-redis introduces a new connection are none.
type pipes struct {
	pipelines, commands atomic.Int64
}

func (p *pipes) reset() {
	p.pipelines.Store(0)
	p.commands.Store(0)
}

func (p *pipes) read() (pipelines, commands int64) { return p.pipelines.Load(), p.commands.Load() }

// DialHook implements redis.Hook.
func (p *pipes) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements redis.Hook.
func (p *pipes) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

// ProcessPipelineHook implements redis.Hook.
func (p *pipes) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if cmds[0].Name() == "evalsha" {
			p.pipelines.Add(1)
			p.commands.Add(int64(len(cmds)))
		}
		return next(ctx, cmds)
	}
}
