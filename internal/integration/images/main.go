// Images makes the images of the container tests on a machine that reaches no registry, with its own Docker engine:
// etcd and nats-server in the versions of this module's go.mod, compiled here, and the redis-server that is installed,
// with its libraries. Each holds one program, no shell, and runs as an unprivileged user. Run it on Linux, as
//
//	eval "$(make -s images)"
//
// for it prints what to export so that the tests use them. An image that is there already is kept: docker image rm has
// it made again. Where there is a registry nobody needs this.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"
)

// timeout ends a build that hangs. Compiling both servers from nothing takes some minutes on two slow cores.
const timeout = 20 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, exports io.Writer) error {
	for _, m := range images {
		tag, err := m.ensure(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		fmt.Fprintf(exports, "export CONCORD_IMAGE_%s=%s\n", strings.ToUpper(m.name), tag)
	}
	return nil
}
