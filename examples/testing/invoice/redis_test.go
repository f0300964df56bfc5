package invoice_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"
)

const redisPort = "6379/tcp"

// Ryuk, the container that cleans up after a test binary that was killed, is one more image to have. Without it
// docker rm -f $(docker ps -aq -f label=org.testcontainers) does that.
func TestMain(m *testing.M) {
	const ryuk = "TESTCONTAINERS_RYUK_DISABLED"
	os.Setenv(ryuk, cmp.Or(os.Getenv(ryuk), "true")) // before the first call, which reads it for good
	os.Exit(m.Run())
}

// startRedis returns a client of a Redis in a container of its own, which ends with t, on an engine of this machine.
// CONCORD_IMAGE_REDIS names another image. The password is there because the engine may publish the port to the network.
func startRedis(t *testing.T) *redis.Client {
	t.Helper()
	image, password := cmp.Or(os.Getenv("CONCORD_IMAGE_REDIS"), "redis:8.2"), rand.Text()
	requireImage(t, image)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := testcontainers.Run(ctx, image,
		testcontainers.WithCmd("--requirepass", password),
		testcontainers.WithExposedPorts(redisPort),
		testcontainers.WithWaitStrategy(wait.ForLog("Ready to accept connections")))
	testcontainers.CleanupContainer(t, c) // first of all: a container may be there in spite of the error
	require.NoError(t, err)
	port, err := c.MappedPort(ctx, redisPort)
	require.NoError(t, err)
	rdb := redis.NewClient(&redis.Options{
		Addr: "127.0.0.1:" + port.Port(), Password: password, ContextTimeoutEnabled: true,
	})
	t.Cleanup(func() { rdb.Close() })
	return rdb
}

// requireImage skips t where no Docker engine answers or the image is not there, so that a plain go test downloads nothing.
// With docker in the list CONCORD_REQUIRE a missing image is pulled, and a missing engine fails t.
func requireImage(t *testing.T, image string) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("CONCORD_REQUIRE"), ","), "docker") {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	engine, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		t.Skipf("skipped; no Docker engine answers: %v", err)
	}
	defer engine.Close()
	if _, err := engine.ImageInspect(ctx, image); err != nil {
		t.Skipf("skipped; docker pull %s first: %v", image, err)
	}
}
