//go:build linux || darwin

package ratio

import (
	"syscall"
	"time"
)

// cpuTime returns how long this process has run on any core, in user and in system mode.
func cpuTime() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, err
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}
