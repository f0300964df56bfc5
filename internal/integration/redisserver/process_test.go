package redisserver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBadArguments(t *testing.T) {
	Require(t)
	p := newProcess(t.TempDir(), []string{"--no-such-option", "1"})
	require.ErrorContains(t, p.run(), "redis-server ended at once: exit status 1")
	require.Contains(t, p.output(), "no-such-option")
	p.kill()
}

func TestLongSocketPath(t *testing.T) {
	p := newProcess(filepath.Join(os.TempDir(), strings.Repeat("x", maxSocketPath)), nil)
	require.ErrorContains(t, p.run(), "set TMPDIR to a shorter directory")
	p.kill()
}

func TestStopRemovesDirectory(t *testing.T) {
	var dir string
	t.Run("server", func(t *testing.T) {
		s := Start(t)
		dir = filepath.Dir(s.addr)
		require.DirExists(t, dir)
		s.Pause()
	})
	require.NoDirExists(t, dir)
}
