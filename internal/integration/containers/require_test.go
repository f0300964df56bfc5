package containers

import (
	"fmt"
	"runtime"
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
	need(t) // an engine
	const absent = "concord.invalid/absent:1"
	t.Setenv("CONCORD_IMAGE_REDIS", absent)
	const missing = "image " + absent + " is not here: docker pull it, or make images"
	require.Contains(t, tier(), absent+" (not here: ")

	t.Setenv("CONCORD_REQUIRE", "redis")
	start := func(t testing.TB) { StartRedis(t) }
	require.Equal(t, "skip: "+missing+"; skipped", verdict(start))

	t.Setenv("CONCORD_REQUIRE", "redis,docker")
	for _, fn := range []func(testing.TB){start, Require} {
		got := verdict(fn)
		require.Contains(t, got, "fatal: "+missing+": ", "it must say why it could not be pulled")
		require.Contains(t, got, ", and CONCORD_REQUIRE names docker")
	}
}
