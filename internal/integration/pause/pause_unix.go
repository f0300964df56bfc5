//go:build unix

// Package pause stops processes for a while, as a debugger, a laptop's lid or a paused virtual machine does.
package pause

import (
	"os"
	"syscall"
)

// Stop lets p do nothing until Resume. It fails where the system has no such signal.
func Stop(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }

// Resume ends Stop.
func Resume(p *os.Process) error { return p.Signal(syscall.SIGCONT) }
