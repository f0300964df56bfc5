package lock_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/integration/pause"
	"github.com/concordkit/concord/internal/integration/stores"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/fence"
	"github.com/concordkit/concord/lock/redislock"
)

// childEnv makes this test binary a client program and gives it the server's address.
const childEnv = "CONCORD_LOCK_CHILD"

// child holds a lock and writes with its token until it learns that it lost, then tries one write more.
func child() {
	ctx := context.Background()
	rdb := redis.NewClient(&redis.Options{Addr: os.Getenv(childEnv)})
	lease, err := lock.New(redislock.New(rdb, nil), &lock.Options{TTL: ttl}).Acquire(ctx, "paused")
	if err != nil {
		fmt.Println("acquire:", err)
		return
	}
	resource := redislock.NewFence(rdb)
	fmt.Println("holds")
	for last := time.Now(); ; last = time.Now() {
		// The first thing after a pause: no timer has had time to run.
		paused := time.Since(last) > ttl
		if err := lease.Context().Err(); paused || err != nil {
			fmt.Println("told:", err != nil && errors.Is(context.Cause(lease.Context()), lock.ErrLost))
			err := resource.Set(ctx, "paused-value", "child", 0, lease.Token())
			fmt.Println("refused:", errors.Is(err, fence.ErrStale))
			return
		}
	}
}

func TestPausedClientIsToldFirst(t *testing.T) { // T14
	t.Parallel()
	s := stores.RealRedis(t)
	link := s.Proxy(t)
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childEnv+"="+link.Addr())
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	lines := bufio.NewScanner(out)
	says := func(want string) {
		t.Helper()
		require.True(t, lines.Scan(), "%v", lines.Err())
		require.Equal(t, want, lines.Text())
	}
	says("holds")
	require.NoError(t, pause.Stop(cmd.Process))
	p, rdb := direct(t, s), s.Dial(t, nil)
	next := p.acquire(t, "paused")
	require.NoError(t, redislock.NewFence(rdb).Set(t.Context(), "paused-value", "next", 0, next.Token()))
	time.Sleep(ttl) // paused for two TTLs
	require.NoError(t, pause.Resume(cmd.Process))
	says("told: true")
	says("refused: true")
	require.Equal(t, "next", rdb.Get(t.Context(), "paused-value").Val())
	require.NoError(t, next.Context().Err(), "what a paused client does must not touch its successor")
	require.NoError(t, next.Release())
}
