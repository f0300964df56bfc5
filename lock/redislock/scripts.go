package redislock

import (
	_ "embed"

	"github.com/redis/go-redis/v9"
)

// A script is put together of parts: head, the short cut that it may have, and line for everything else.
var (
	//go:embed head.lua
	headLua string
	//go:embed free.lua
	freeLua string
	//go:embed sole.lua
	soleLua string
	//go:embed stay.lua
	stayLua string
	//go:embed line.lua
	lineLua string
	//go:embed acquire.lua
	acquireLua string
	//go:embed renew.lua
	renewLua string
	//go:embed setvalue.lua
	setValueLua string
	//go:embed release.lua
	releaseLua string
	//go:embed sweep.lua
	sweepLua string
	//go:embed snapshot.lua
	snapshotLua string

	acquire  = redis.NewScript(headLua + freeLua + lineLua + acquireLua)
	renew    = redis.NewScript(headLua + stayLua + lineLua + renewLua)
	setValue = redis.NewScript(headLua + lineLua + setValueLua)
	release  = redis.NewScript(headLua + soleLua + lineLua + releaseLua)
	sweep    = redis.NewScript(headLua + lineLua + sweepLua)
	snapshot = redis.NewScript(snapshotLua)
)
