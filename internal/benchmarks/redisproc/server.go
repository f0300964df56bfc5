// Package redisproc runs a redis-server of its own for a comparison: a subprocess on a Unix socket in a temporary
// directory, without persistence, that dies with this process. It counts what clients ask of it.
package redisproc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/redis/go-redis/v9"
)

// ErrMissing reports that there is no redis-server to run.
var ErrMissing = errors.New("redis-server is not in PATH: install it, on Debian with apt-get install redis-server")

const (
	binary = "redis-server"
	// startTimeout is long for a server that needs 40 ms.
	startTimeout = 10 * time.Second
)

// Server is a running redis-server.
type Server struct {
	dir  string
	cmd  *exec.Cmd
	dead chan struct{} // closed when cmd has ended
	own  *redis.Client // asks for statistics
}

// Start starts a server and returns when it answers, or an error that wraps [ErrMissing].
func Start(ctx context.Context) (*Server, error) {
	if _, err := exec.LookPath(binary); err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrMissing, err)
	}
	dir, err := os.MkdirTemp("", "ratios")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, dead: make(chan struct{})}
	s.cmd = exec.Command(binary, "--port", "0", "--unixsocket", s.Socket(), "--dir", dir, "--logfile", filepath.Join(dir, "log"),
		"--save", "", "--appendonly", "no", "--daemonize", "no")
	s.cmd.SysProcAttr = dieWithParent()
	started := make(chan error, 1)
	go s.attend(started)
	if err := <-started; err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	s.own = s.Client()
	if err := s.ready(ctx); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// attend starts the server and waits for its end on one thread. What Linux takes for the parent of a process is the
// thread that started it, and Go may end a thread at any time: the server would die with it.
func (s *Server) attend(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := s.cmd.Start()
	started <- err
	if err == nil {
		s.cmd.Wait()
		close(s.dead)
	}
}

func (s *Server) ready(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, startTimeout)
	defer stop()
	for {
		err := s.own.Ping(ctx).Err()
		if err == nil {
			return nil
		}
		select {
		case <-s.dead:
			return fmt.Errorf("redis-server ended at once: %s", s.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("redis-server did not answer: %w", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Stop ends the server and removes its directory.
func (s *Server) Stop() {
	s.own.Close()
	s.cmd.Process.Kill() // nothing is to be saved; an error means that it is gone
	<-s.dead
	os.RemoveAll(s.dir)
}

// Socket returns the path of the socket.
func (s *Server) Socket() string { return filepath.Join(s.dir, "s") }

// Client returns a client with the one option that redislock recommends, which go-redis leaves off by default. The caller
// closes it.
func (s *Server) Client() *redis.Client {
	return redis.NewClient(&redis.Options{Network: "unix", Addr: s.Socket(), ContextTimeoutEnabled: true})
}
