package redisserver

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// orphan tells this binary to be the test that is killed.
const orphan = "CONCORD_REDISSERVER_ORPHAN"

func TestDiesWithTestBinary(t *testing.T) {
	s := Start(t)
	if os.Getenv(orphan) != "" {
		os.Stdout.WriteString("socket " + s.addr + "\n")
		select {}
	}
	child := exec.Command(os.Args[0], "-test.run=^TestDiesWithTestBinary$")
	child.Env = append(os.Environ(), orphan+"=1")
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	socket := ""
	for lines := bufio.NewScanner(out); socket == "" && lines.Scan(); {
		socket, _ = strings.CutPrefix(lines.Text(), "socket ")
		if !strings.HasPrefix(socket, "/") {
			socket = ""
		}
	}
	require.NoError(t, child.Process.Kill())
	require.Error(t, child.Wait())
	require.NotEmpty(t, socket)
	defer os.RemoveAll(filepath.Dir(socket))
	require.Eventually(t, func() bool { return refuses(socket) }, patience, tick, "the server must not outlive its test")
}

func refuses(socket string) bool {
	c, err := net.Dial("unix", socket)
	if err == nil {
		c.Close()
	}
	return err != nil
}

// The kernel kills the server with the thread that started it, which need not be the end of the test.
func TestOutlivesThread(t *testing.T) {
	Require(t)
	servers := make(chan *Server)
	go onDoomedThread(func() { servers <- Start(t) })
	s := <-servers
	rdb := s.Dial(t, hasty)
	for end := time.Now().Add(500 * time.Millisecond); time.Now().Before(end); time.Sleep(tick) {
		require.NoError(t, rdb.Ping(t.Context()).Err())
	}
}

// onDoomedThread runs fn on a thread that ends with the calling goroutine.
func onDoomedThread(fn func()) {
	runtime.LockOSThread()
	if syscall.Gettid() != syscall.Getpid() {
		fn()
		return
	}
	// The main thread never ends. As it is taken now, another goroutine gets another one.
	defer runtime.UnlockOSThread()
	done := make(chan struct{})
	go func() {
		defer close(done)
		onDoomedThread(fn)
	}()
	<-done
}
