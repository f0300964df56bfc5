package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
)

// goProgram is a main package of one of this module's dependencies.
type goProgram string

func (p goProgram) version(ctx context.Context) (string, error) {
	v, err := output(exec.CommandContext(ctx, "go", "list", "-f", "{{.Module.Version}}", string(p)))
	if err != nil {
		return "", err
	}
	return v[1:], nil
}

// files compiles a static program. Flags that only concern the linker leave the packages in the build cache to the
// tests without cgo that embed the same servers.
func (p goProgram) files(ctx context.Context, dir, path string) ([]file, error) {
	program := filepath.Join(dir, "program")
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags", "-s -w", "-o", program, string(p))
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	_, err := output(cmd)
	return []file{{path, program}}, err
}
