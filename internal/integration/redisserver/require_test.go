package redisserver

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// outcome is a test of which only the end matters.
type outcome struct {
	testing.TB
	verdict string
}

func (o *outcome) Helper() {}

func (o *outcome) Fatalf(format string, args ...any) { o.stop("fatal: ", format, args) }
func (o *outcome) Skipf(format string, args ...any)  { o.stop("skip: ", format, args) }

func (o *outcome) stop(how, format string, args []any) {
	o.verdict = how + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// verdict tells how a test that runs fn ends.
func verdict(fn func(t testing.TB)) string {
	o, done := &outcome{verdict: "pass"}, make(chan struct{})
	go func() {
		defer close(done)
		fn(o)
	}()
	<-done
	return o.verdict
}

func TestRequire(t *testing.T) {
	start := func(t testing.TB) { Start(t) }
	t.Setenv("PATH", t.TempDir())
	t.Setenv("CONCORD_REQUIRE", "docker")
	require.Equal(t, "skip: no redis-server on PATH: apt-get install redis-server; skipped", verdict(start))
	require.NotNil(t, StartOrMini(t).Mini())
	require.True(t, strings.HasPrefix(tier(), "tier redis: miniredis stand-in; install redis-server"), tier())

	t.Setenv("CONCORD_REQUIRE", "docker,redis")
	const fatal = "fatal: no redis-server on PATH, and CONCORD_REQUIRE names redis: apt-get install redis-server"
	require.Equal(t, fatal, verdict(start))
	require.Equal(t, fatal, verdict(func(t testing.TB) { StartOrMini(t) }), "a stand-in is not what was required")
}

func TestStandInRefusesFaults(t *testing.T) {
	s := StartMini(t)
	for name, fault := range map[string]func(*Server){
		"Pause": (*Server).Pause, "Resume": (*Server).Resume, "Kill": (*Server).Kill, "Restart": (*Server).Restart,
	} {
		got := verdict(func(t testing.TB) {
			mini := *s
			mini.t = t
			fault(&mini)
		})
		require.Equal(t, "fatal: redisserver: "+name+" needs a real server: use Start", got)
	}
}

func TestTier(t *testing.T) {
	Require(t)
	require.Regexp(t, `^tier redis: redis-server \d+\.\d+\.\d+$`, tier())
}

func TestVersion(t *testing.T) {
	require.Equal(t, "7.0.15", version("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64\n"))
}
