package redispubsub

import (
	_ "embed"

	"github.com/redis/go-redis/v9"
)

// A script is put together of parts: head, group for those of a consumer, and its own.
var (
	//go:embed queue_head.lua
	queueHeadLua string
	//go:embed queue_group.lua
	queueGroupLua string
	//go:embed queue_publish.lua
	queuePublishLua string
	//go:embed queue_join.lua
	queueJoinLua string
	//go:embed queue_fetch.lua
	queueFetchLua string
	//go:embed queue_extend.lua
	queueExtendLua string
	//go:embed queue_release.lua
	queueReleaseLua string
	//go:embed queue_leave.lua
	queueLeaveLua string
	//go:embed queue_bury.lua
	queueBuryLua string
	//go:embed queue_redrive.lua
	queueRedriveLua string
	//go:embed queue_stats.lua
	queueStatsLua string

	queuePublish = redis.NewScript(queueHeadLua + queuePublishLua)
	queueJoin    = redis.NewScript(queueHeadLua + queueGroupLua + queueJoinLua)
	queueFetch   = redis.NewScript(queueHeadLua + queueGroupLua + queueFetchLua)
	queueExtend  = redis.NewScript(queueHeadLua + queueGroupLua + queueExtendLua)
	queueRelease = redis.NewScript(queueHeadLua + queueGroupLua + queueReleaseLua)
	queueLeave   = redis.NewScript(queueHeadLua + queueGroupLua + queueLeaveLua)
	queueBury    = redis.NewScript(queueHeadLua + queueGroupLua + queueBuryLua)
	queueRedrive = redis.NewScript(queueHeadLua + queueRedriveLua)
	queueStats   = redis.NewScript(queueHeadLua + queueStatsLua)
)
