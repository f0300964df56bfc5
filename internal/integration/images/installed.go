package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
)

// installed is a program of this machine, found on PATH.
type installed string

var versionFlag = regexp.MustCompile(` v=(\S+)`)

func (p installed) version(ctx context.Context) (string, error) {
	if runtime.GOOS != "linux" {
		return "", fmt.Errorf("the %s of this machine is for %s", string(p), runtime.GOOS)
	}
	out, err := output(exec.CommandContext(ctx, string(p), "--version"))
	if err != nil {
		return "", fmt.Errorf("%w: apt-get install %s", err, string(p))
	}
	v := versionFlag.FindStringSubmatch(out)
	if v == nil {
		return "", fmt.Errorf("no version in %q", out)
	}
	return v[1], nil
}

// files adds every library under the name by which the loader looks for it.
func (p installed) files(ctx context.Context, _, path string) ([]file, error) {
	program, err := exec.LookPath(string(p))
	if err != nil {
		return nil, err
	}
	out, err := output(exec.CommandContext(ctx, "ldd", program))
	if err != nil {
		return nil, err
	}
	files := []file{{path, program}}
	libs, err := libraries(out)
	for _, lib := range libs {
		files = append(files, file{lib, lib})
	}
	return files, err
}

// libraries finds the paths in the output of ldd. The kernel's own library has none.
func libraries(ldd string) (paths []string, err error) {
	for lines := bufio.NewScanner(strings.NewReader(ldd)); lines.Scan(); {
		if strings.Contains(lines.Text(), "not found") {
			return nil, errors.New(strings.TrimSpace(lines.Text()))
		}
		for _, word := range strings.Fields(lines.Text()) {
			if strings.HasPrefix(word, "/") {
				paths = append(paths, word)
				break
			}
		}
	}
	return paths, nil
}
