package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// registry looks like a host, so that nobody takes the images for some of Docker Hub, and exists nowhere.
const registry = "concord.local"

// image is what one server needs to run. Its program lies where the public image has it, so that tests need not know
// which of the two they run.
type image struct {
	name   string
	path   string // of the program
	from   source
	config []string
}

// source is where a program comes from.
type source interface {
	version(ctx context.Context) (string, error)
	// files returns the program, to be put at path, and all that it loads. It may write to dir.
	files(ctx context.Context, dir, path string) ([]file, error)
}

var images = []image{
	{"etcd", "/usr/local/bin/etcd", goProgram("go.etcd.io/etcd/server/v3"),
		[]string{`CMD ["/usr/local/bin/etcd"]`, "EXPOSE 2379 2380"}},
	{"nats", "/nats-server", goProgram("github.com/nats-io/nats-server/v2"),
		[]string{`ENTRYPOINT ["/nats-server"]`, "EXPOSE 4222 6222 8222"}},
	{"redis", "/usr/local/bin/redis-server", installed("redis-server"),
		[]string{`ENTRYPOINT ["/usr/local/bin/redis-server"]`, "EXPOSE 6379"}},
}

// ensure returns the image's tag when the engine has it.
func (m image) ensure(ctx context.Context) (string, error) {
	version, err := m.from.version(ctx)
	if err != nil {
		return "", err
	}
	tag := fmt.Sprintf("%s/%s:%s", registry, m.name, version)
	id, err := output(exec.CommandContext(ctx, "docker", "image", "ls", "--quiet", tag))
	if err != nil || id != "" {
		return tag, err
	}
	return tag, m.build(ctx, tag)
}

// build imports a file system of one layer, for which an engine of any age needs neither a builder nor a base image.
func (m image) build(ctx context.Context, tag string) error {
	fmt.Fprintln(os.Stderr, "images: making", tag)
	dir, err := os.MkdirTemp("", "image")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	files, err := m.from.files(ctx, dir, m.path)
	if err != nil {
		return err
	}
	layer := filepath.Join(dir, "layer.tar")
	if err := writeLayer(layer, files); err != nil {
		return err
	}
	args := []string{"import"}
	for _, change := range append(m.config, "USER "+user, "WORKDIR "+workdir) {
		args = append(args, "--change", change)
	}
	_, err = output(exec.CommandContext(ctx, "docker", append(args, layer, tag)...))
	return err
}

// output runs cmd and returns what it prints, without the space around it.
func output(cmd *exec.Cmd) (string, error) {
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", cmd, err)
	}
	return strings.TrimSpace(string(out)), nil
}
