package lab_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/concordkit/concord/examples/31-election/elections"
	"github.com/concordkit/concord/examples/32-locks/locks"
	"github.com/concordkit/concord/examples/servers/lab"
)

// patience bounds the wait for what takes about a second.
const patience = time.Minute

const anyPort = "127.0.0.1:0"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// On every server the scenarios go as in memory.
func TestScenarios(t *testing.T) {
	l, err := lab.Start(lab.Options{Redis: anyPort, Etcd: anyPort, NATS: anyPort})
	require.NoError(t, err)
	t.Cleanup(l.Close)
	for name, run := range map[string]func(out io.Writer, engine, addr string) error{
		"32-locks": func(out io.Writer, engine, addr string) error {
			return locks.Run(t.Context(), out, locks.Options{Engine: engine, Addr: addr})
		},
		"31-election": func(out io.Writer, engine, addr string) error {
			return elections.Run(t.Context(), out, elections.Options{Engine: engine, Addr: addr})
		},
	} {
		want := story(t, run, "mem", "")
		for engine, addr := range map[string]string{"redis": l.Redis, "etcd": l.Etcd, "nats": l.NATS} {
			t.Run(name+" on "+engine, func(t *testing.T) {
				t.Parallel()
				require.Equal(t, want, story(t, run, engine, addr))
			})
		}
	}
}

// story is what a scenario prints below its first line, which may tell what the obvious way is made of.
func story(t *testing.T, run func(out io.Writer, engine, addr string) error, engine, addr string) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, run(&out, engine, addr))
	_, below, _ := strings.Cut(out.String(), "\n")
	return below
}

func TestRun(t *testing.T) {
	temp := useTempDir(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- lab.Run(ctx, w, lab.Options{Redis: anyPort, Etcd: anyPort, NATS: anyPort})
		w.Close()
	}()
	addrs := commands(t, r)
	require.Len(t, addrs, 3)
	for _, addr := range addrs {
		silent, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer silent.Close() // it must not hold up the end
	}

	cancel()
	rest, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, "\nStopped.\n", string(rest))
	require.NoError(t, <-ended)
	requireEmpty(t, temp)
	for _, addr := range addrs {
		l, err := net.Listen("tcp", addr)
		require.NoError(t, err, "the address must be free again")
		l.Close()
	}
}

// commands reads what Run says first, and returns the addresses in its commands.
func commands(t *testing.T, r io.Reader) (addrs []string) {
	t.Helper()
	said := make([]byte, 4096)
	n, err := r.Read(said) // Run says it in one piece
	require.NoError(t, err)
	for line := range strings.Lines(string(said[:n])) {
		if _, addr, ok := strings.Cut(line, " -addr "); ok {
			addrs = append(addrs, strings.TrimSpace(addr))
		}
	}
	return addrs
}

func TestTakenPort(t *testing.T) {
	taken, err := net.Listen("tcp", anyPort)
	require.NoError(t, err)
	defer taken.Close()
	addr := taken.Addr().String()
	for name, o := range map[string]lab.Options{
		"redis": {Redis: addr, Etcd: anyPort, NATS: anyPort},
		"etcd":  {Redis: anyPort, Etcd: addr, NATS: anyPort},
		"nats":  {Redis: anyPort, Etcd: anyPort, NATS: addr},
	} {
		t.Run(name, func(t *testing.T) {
			temp := useTempDir(t)
			_, err := lab.Start(o)
			require.ErrorContains(t, err, name+" at "+addr+": ")
			require.ErrorContains(t, err, "; -"+name+" takes another address")
			requireEmpty(t, temp)
		})
	}
}

// useTempDir has temporary files made in the directory that it returns.
func useTempDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, env := range []string{"TMPDIR", "TMP"} { // of Unix and of Windows
		t.Setenv(env, dir)
	}
	return dir
}

func requireEmpty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left, "what the servers stored must be gone")
}
