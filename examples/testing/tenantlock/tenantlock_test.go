package tenantlock_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/examples/testing/tenantlock"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/locktest"
	"github.com/concordkit/concord/lock/memlock"
)

// The suite checks every promise. On an engine without I/O it runs in bubbles of synctest, which cost no time; on a server
// leave Bubble and TTL out, and it takes some seconds.
func TestConformance(t *testing.T) {
	locktest.Run(t, func(*testing.T) func() lock.Backend {
		engine := memlock.New() // one store for each case
		return func() lock.Backend { return tenantlock.New("acme", engine) }
	}, &locktest.Options{TTL: time.Minute, Bubble: synctest.Test})
}

// What is the backend's own is tested beside the suite.
func TestTenantsAreApart(t *testing.T) {
	engine := memlock.New()
	for _, tenant := range []string{"a", "a/b", "a%2Fb", "ä"} {
		locks := lock.New(tenantlock.New(tenant, engine), nil)
		for _, name := range []string{"b", "c", "b/c"} {
			for _, c := range []lock.Claim{{Name: name, NoWait: true}, {Dir: name, Name: "n", NoWait: true}} {
				lease, err := locks.Claim(t.Context(), c)
				require.NoError(t, err, "tenant %q must not meet another one in %+v", tenant, c)
				defer lease.Release()
			}
		}
		w, err := locks.Watch(t.Context(), "b")
		require.NoError(t, err)
		require.Len(t, w.Holders(), 1, "a tenant must see its own directory alone")
		require.Equal(t, "n", w.Holders()[0].Name, "names in a directory must stay as they are")
	}
}

func TestBadInput(t *testing.T) {
	engine, long := memlock.New(), strings.Repeat("n", lock.MaxName-len("acme/"))
	for _, c := range []struct{ tenant, name, want string }{
		{"", "a", "tenantlock: lock: invalid: empty tenant"},
		{"acme", long + "n", `252 bytes after "acme/": want at most 256 in all`},
	} {
		_, err := lock.New(tenantlock.New(c.tenant, engine), nil).Acquire(t.Context(), c.name)
		require.ErrorIs(t, err, lock.ErrInvalid)
		require.ErrorContains(t, err, c.want)
	}
	lease, err := lock.New(tenantlock.New("acme", engine), nil).Acquire(t.Context(), long)
	require.NoError(t, err)
	require.NoError(t, lease.Release())
}
