package election_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/concordkit/concord/election"
	"github.com/concordkit/concord/internal/integration/pause"
	"github.com/concordkit/concord/internal/integration/stores"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/etcdlock"
	"github.com/concordkit/concord/lock/fence"
	"github.com/concordkit/concord/lock/natslock"
	"github.com/concordkit/concord/lock/redislock"
)

// childEnv makes this test binary a candidate and gives it an engine and the server's address.
const childEnv = "CONCORD_ELECTION_CHILD"

const pausedElection = "paused"

// child leads until it is told of its loss, and says so.
func child() {
	b, err := dialChild(strings.Fields(os.Getenv(childEnv)))
	if err != nil {
		fmt.Println(err)
		return
	}
	e := election.New(lock.New(b, &lock.Options{TTL: ttl}), pausedElection, &election.Options{ID: "child"})
	failure := errors.New("done")
	err = e.Run(context.Background(), func(ctx context.Context, t election.Term) error {
		fmt.Println("leads", t)
		for last := time.Now(); ; last = time.Now() {
			// The first thing after a pause: no timer has had time to run.
			paused := time.Since(last) > ttl
			if err := ctx.Err(); paused || err != nil {
				fmt.Println("told", err != nil && errors.Is(context.Cause(ctx), election.ErrLost))
				return failure // of a term that was lost: it does not end the run
			}
		}
	})
	fmt.Println("run ended", err)
}

func dialChild(args []string) (lock.Backend, error) {
	switch engine, addr := args[0], args[1]; engine {
	case "etcd":
		cli, err := clientv3.New(clientv3.Config{Endpoints: []string{addr}, Logger: zap.NewNop()})
		return etcdlock.New(cli, nil), err
	case "nats":
		nc, err := nats.Connect("nats://"+addr, nats.MaxReconnects(-1))
		if err != nil {
			return nil, err
		}
		js, err := jetstream.New(nc)
		return natslock.New(js, stores.Bucket), err
	default:
		return redislock.New(redis.NewClient(&redis.Options{Addr: addr}), nil), nil
	}
}

// A leader that was stopped for longer than its lease hears of it first thing, and its late writes can be told.
func TestPausedLeader(t *testing.T) { // T14
	stores.OnDurable(t, func(t *testing.T, s stores.Durable) {
		exe, err := os.Executable()
		require.NoError(t, err)
		cmd := exec.Command(exe)
		_, engine, _ := strings.Cut(t.Name(), "/")
		cmd.Env = append(os.Environ(), childEnv+"="+engine+" "+s.Links(t)[0].Addr())
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		lines := bufio.NewScanner(out)
		says := func(format string, args ...any) {
			t.Helper()
			require.True(t, lines.Scan(), "%v", lines.Err())
			_, err := fmt.Sscanf(lines.Text(), format, args...)
			require.NoError(t, err, "the leader says %q", lines.Text())
		}
		var old, again election.Term
		says("leads %d", &old)
		n := direct(t, s, pausedElection, "next")
		require.NoError(t, pause.Stop(cmd.Process))
		l, err := n.Campaign(t.Context())
		require.NoError(t, err)
		var resource fence.Guard
		write := func(t election.Term) error { return resource.Do(pausedElection, t, func() error { return nil }) }
		require.NoError(t, write(l.Term()))
		time.Sleep(ttl) // stopped for two TTLs
		require.NoError(t, pause.Resume(cmd.Process))
		says("told true")
		require.ErrorIs(t, write(old), fence.ErrStale, "the term must give a former leader away")
		require.NoError(t, l.Context().Err(), "what a stopped leader does must not touch its successor")
		require.NoError(t, l.Resign())
		says("leads %d", &again)
		require.NoError(t, write(again))
	})
}
