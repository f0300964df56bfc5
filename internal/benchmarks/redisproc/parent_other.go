//go:build !linux

package redisproc

import "syscall"

// dieWithParent has nothing to offer here: a comparison that is killed leaves its server behind.
func dieWithParent() *syscall.SysProcAttr { return nil }
