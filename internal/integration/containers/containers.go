// Package containers gives tests servers that run as their makers ship them: Redis, NATS with JetStream and three
// members of etcd, in containers of their own that end with the test.
//
// The images are the public ones, unless CONCORD_IMAGE_REDIS, CONCORD_IMAGE_NATS or CONCORD_IMAGE_ETCD name others. For
// a machine that reaches no registry, make images makes some and prints the variables. A plain go test downloads
// nothing: it skips what needs an image that is not here. With docker in the list CONCORD_REQUIRE, a missing image is
// pulled, and a test fails that cannot have its server. A package says once per run what its tests had:
//
//	func TestMain(m *testing.M) {
//		containers.Report()
//		goleak.VerifyTestMain(m)
//	}
//
// The servers ask for no password, so their ports are published on 127.0.0.1 alone, at a port that the engine picks:
// the engine must be one of this machine. No test needs root, and none changes the machine's own network.
//
// Ryuk, the container by which testcontainers-go cleans up after a killed test binary, is off unless
// TESTCONTAINERS_RYUK_DISABLED says false: it is one more image to have, and it holds the engine's socket. What a
// killed test leaves behind goes with
//
//	docker rm -f $(docker ps -aq -f label=concord.test)
//	docker network prune -f --filter label=concord.test
package containers

import (
	"context"
	"testing"
	"time"
)

const (
	// startTimeout is long for servers that need a second or two, for the engine may be busy.
	startTimeout = time.Minute
	// attempt ends a request to a server that does not answer, so that the next one is made.
	attempt = time.Second
	tick    = 20 * time.Millisecond
)

// await calls ready until it has no error left.
func await(t testing.TB, what string, ready func(ctx context.Context) error) {
	t.Helper()
	for end := time.Now().Add(startTimeout); ; time.Sleep(tick) {
		ctx, cancel := context.WithTimeout(t.Context(), attempt)
		err := ready(ctx)
		cancel()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("containers: %s: %v", what, err)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("containers: %v", err)
	}
}
