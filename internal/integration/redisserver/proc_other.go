//go:build !linux

package redisserver

import "syscall"

// dieWithParent has nothing to offer here: a test binary that is killed leaves its server behind.
func dieWithParent() *syscall.SysProcAttr { return nil }
