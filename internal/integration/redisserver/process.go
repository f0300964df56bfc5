package redisserver

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
)

const (
	// startTimeout is long for a server that needs 40 ms, and an append-only file may have to be read.
	startTimeout = 30 * time.Second
	// maxSocketPath is what macOS has room for, with the final NUL; Linux has four bytes more.
	maxSocketPath = 103
)

// process is one redis-server, which may be started again after its end.
type process struct {
	socket, log string
	args        []string
	cmd         *exec.Cmd
	dead        chan struct{} // closed when cmd has ended; nil before the first run
}

func newProcess(dir string, args []string) *process {
	p := &process{socket: filepath.Join(dir, "s"), log: filepath.Join(dir, "log")}
	p.args = append([]string{
		"--port", "0", "--unixsocket", p.socket, "--dir", dir,
		"--protected-mode", "yes", "--daemonize", "no", "--loglevel", "notice",
		"--save", "", "--appendonly", "no",
	}, args...)
	return p
}

// run starts the process and returns when it answers.
func (p *process) run() error {
	if len(p.socket) > maxSocketPath {
		return fmt.Errorf("socket path %q exceeds %d bytes: set TMPDIR to a shorter directory", p.socket, maxSocketPath)
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	p.cmd = exec.Command(binary, p.args...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = dieWithParent()
	started, dead := make(chan error, 1), make(chan struct{})
	go p.attend(p.cmd, started, dead)
	if err := <-started; err != nil {
		return err
	}
	p.dead = dead
	return p.ready()
}

// attend starts cmd and waits for its end on one thread. What Linux takes for the parent of a process is the thread
// that started it, and Go may end a thread at any time: the server would die with it.
func (p *process) attend(cmd *exec.Cmd, started chan<- error, dead chan<- struct{}) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Start()
	started <- err
	if err == nil {
		cmd.Wait()
		close(dead)
	}
}

func (p *process) ready() error {
	timeout := time.After(startTimeout)
	for {
		if p.answers() {
			return nil
		}
		select {
		case <-p.dead:
			return fmt.Errorf("redis-server ended at once: %s", p.cmd.ProcessState)
		case <-timeout:
			return fmt.Errorf("redis-server did not answer within %s", startTimeout)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// answers sends a PING by hand: go-redis would pause for 100 ms between its attempts to connect.
func (p *process) answers() bool {
	c, err := net.Dial("unix", p.socket)
	if err != nil {
		return false
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Second))
	reply := make([]byte, len("+PONG"))
	fmt.Fprint(c, "PING\r\n")
	n, _ := c.Read(reply)
	return string(reply[:n]) == "+PONG"
}

// kill returns when the process is gone. It is not an error if it was.
func (p *process) kill() {
	if p.dead == nil {
		return
	}
	p.cmd.Process.Kill() // fails only if it has ended by itself
	<-p.dead
}

func (p *process) output() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
