package engines

import (
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/memlock"
)

func openMemory() Engine {
	b := memlock.New()
	return Engine{
		Connect: func() lock.Backend { return b },
		TTL:     shortTTL,
		Close:   func() {},
	}
}
