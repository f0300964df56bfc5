package containers

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
)

// engineTimeout is for what an engine does at once. One that hangs must not hang the tests.
const engineTimeout = 30 * time.Second

// configure comes before any call of testcontainers-go, which reads its configuration once per process.
var configure = sync.OnceFunc(func() {
	const ryuk = "TESTCONTAINERS_RYUK_DISABLED"
	if os.Getenv(ryuk) == "" {
		os.Setenv(ryuk, "true")
	}
	log.SetDefault(log.NewNoopLogger())
})

// withEngine calls fn with a client of the engine that testcontainers-go uses.
func withEngine(fn func(ctx context.Context, cli *testcontainers.DockerClient) error) error {
	configure()
	ctx, cancel := context.WithTimeout(context.Background(), engineTimeout)
	defer cancel()
	cli, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return err
	}
	defer cli.Close()
	return fn(ctx, cli)
}

// engine asks once, as an engine comes and goes at most between two runs.
var engine = sync.OnceValues(func() (version string, err error) {
	err = withEngine(func(ctx context.Context, cli *testcontainers.DockerClient) error {
		v, err := cli.ServerVersion(ctx, client.ServerVersionOptions{})
		version = v.Version
		return err
	})
	return version, err
})

func mustEngine(t testing.TB, fn func(ctx context.Context, cli *testcontainers.DockerClient) error) {
	t.Helper()
	must(t, withEngine(fn))
}
